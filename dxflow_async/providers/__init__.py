"""Places that hold bytes under names."""
