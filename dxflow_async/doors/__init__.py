"""Adapters: what other libraries hold in their hands opens the session's storage. Each is behind an extra."""
