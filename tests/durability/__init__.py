"""What a loss of power may take: nothing that was reported as done."""
