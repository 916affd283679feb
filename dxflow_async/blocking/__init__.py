"""The facade: the same calls, for threads that have no event loop."""
