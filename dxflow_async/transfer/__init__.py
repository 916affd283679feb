"""Moving bytes: a plan of parts, a bounded pool that pulls them, retries, limits and checksums."""
