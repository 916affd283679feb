"""Local disks: the worked example of a provider."""
