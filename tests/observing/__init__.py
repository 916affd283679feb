"""What can be watched from outside: spans, counts, and logs with fields."""
