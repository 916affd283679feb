"""Small servers that answer as real services do, with a switch for each of their differences."""
