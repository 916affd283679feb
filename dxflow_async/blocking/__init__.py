"""The blocking API: the same calls, for threads that have no event loop."""
