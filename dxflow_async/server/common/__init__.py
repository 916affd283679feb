"""What the hub and the units share: listening, connections, addresses, errors and logs."""
