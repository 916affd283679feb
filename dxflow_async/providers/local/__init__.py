"""Local directories, and the worked example of a provider."""
