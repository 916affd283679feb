"""The client of the hub: sign-in, account and units."""
