"""The data plane's JSON schema, derived from the azure-batch SDK's models (MIT), as package contents."""
