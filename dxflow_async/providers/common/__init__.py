"""What two or more provider folders share."""
