"""The laptop's side of batchimg: plan, submit, watch, collect."""
