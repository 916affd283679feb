"""The libraries that race, each run as a process of its own: `python -m benchmarks.clients.NAME JOB`."""
