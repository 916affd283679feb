"""Where a provider keeps what the contract's tests write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dxflow_async.providers.contract import Provider

__all__ = ["Place", "unit_leftovers"]


@dataclass(frozen=True)
class Place:
    """A provider, and a prefix there that is the test's own.

    Attributes:
        leftovers: names the uploads that were begun and neither finished nor aborted.
        keeps_aborted: what was aborted is a leftover too, until the service drops it.
        refused: names that are refused, because the service would take them for others.
    """

    provider: Provider
    prefix: str
    leftovers: Callable[[], list[str]]
    keeps_aborted: bool = False
    refused: frozenset[str] = frozenset()

    def __truediv__(self, name: str) -> str:
        return self.prefix + name


def unit_leftovers(root: Path) -> list[str]:
    """What a unit keeps of unfinished uploads, once it has seen which connections are gone."""
    for _ in range(100):
        names = [path.name for path in root.glob(".dx-uploads/*.data")]
        if not names:
            return []
        time.sleep(0.02)
    return names
