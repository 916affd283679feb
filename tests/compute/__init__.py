"""Compute units, as their users reach them."""
