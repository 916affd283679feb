"""Files at `https://host/path` as a read-only provider: the worked example for HTTP."""
