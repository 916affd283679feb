"""Code that two or more providers share."""
