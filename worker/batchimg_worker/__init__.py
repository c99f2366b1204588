"""The node's side of batchimg: read, apply, write."""
