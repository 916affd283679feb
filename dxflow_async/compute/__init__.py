"""Compute units and their storage."""
