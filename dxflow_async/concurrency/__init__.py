"""Worker threads, bounded worker pools, and work that must finish or be undone when it is cancelled."""
