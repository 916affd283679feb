"""What a call means: which items it transfers, and where each of them goes."""
