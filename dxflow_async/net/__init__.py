"""The data plane: HTTP requests and responses over pooled connections."""
