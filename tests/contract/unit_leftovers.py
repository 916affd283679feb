"""Unfinished uploads of a unit's server."""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["unit_leftovers"]


def unit_leftovers(root: Path) -> list[str]:
    """Returns the data files of unfinished uploads, after the server noticed which connections ended."""
    for _ in range(100):
        names = [path.name for path in root.glob(".dx-uploads/*.data")]
        if not names:
            return []
        time.sleep(0.02)
    return names
