"""The two servers of dxflow: the hub, and a unit's storage."""
