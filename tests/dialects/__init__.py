"""Servers of the clouds' kinds that answer in other ways than the big ones, and what becomes of each way."""
