"""Properties that hold for any input from outside."""
