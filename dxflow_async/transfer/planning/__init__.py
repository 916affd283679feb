"""Planning a call: the items that it transfers, and the place that each of them goes to."""
