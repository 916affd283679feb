"""Sync: comparing two trees, and copying and deleting what differs."""
