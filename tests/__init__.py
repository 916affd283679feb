"""The tests, as a package: they import the servers of `tests.servers`."""
