"""The account's storage."""
