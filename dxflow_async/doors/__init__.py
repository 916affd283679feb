"""Adapters that give other libraries a session's storage: fsspec and zarr, each behind an extra, and obspec."""
