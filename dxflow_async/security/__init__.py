"""Secrets that are never shown, and paths that cannot leave their root."""
