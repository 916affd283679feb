"""Objects as open files: reading at any position, and writing a stream."""
