"""Runs the items of one call on the workers of an executor: other processes, or other machines."""
