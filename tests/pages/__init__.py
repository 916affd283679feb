"""Pages with charts."""
