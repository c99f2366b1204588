"""One function an operation: (account, request) -> reply. The route table names them all."""
