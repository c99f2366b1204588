"""The `batchimg` command."""
