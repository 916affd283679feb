"""A compute unit's storage: files, ranges and resumable uploads (tus) over HTTP."""
