"""Compute units."""
