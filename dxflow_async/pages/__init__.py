"""HTML pages with charts: self-contained, without a script, and well-formed as XML."""
