"""Ours against the peers, on the same real server, in one run: `python -m benchmarks --help`."""
