"""How one item is transferred: reading, sending in parts, verifying."""
