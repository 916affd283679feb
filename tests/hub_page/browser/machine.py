"""The page of this machine's user, as the fixtures give it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dxflow_async.hub_page.doors import MachineDoor

__all__ = ["Machine"]


class Machine(NamedTuple):
    """The page of this machine's user.

    Attributes:
        url: where it is.
        door: makes tickets.
        disk: a directory for files.
    """

    url: str
    door: MachineDoor
    disk: Path
