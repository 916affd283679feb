"""A compute unit's volume as a storage area."""

from __future__ import annotations

from dataclasses import dataclass

from dxflow_async.paths import key_of
from dxflow_async.storage.area import Area

__all__ = ["UnitArea"]

_VOLUME = "volume"
"""Where a unit mounts what it serves: paths that start with it mean the same as those without."""


@dataclass(frozen=True, slots=True)
class UnitArea(Area):
    """All that a unit serves.

    `/volume/results/x` is `/results/x`; what really lies in a directory of that name is `/volume/volume/x`.
    """

    def key(self, path: str) -> str:
        """The provider's key of a path on the unit."""
        key = key_of(path)
        first, _, rest = key.partition("/")
        return key_of(rest) if first == _VOLUME else key

    def path(self, key: str) -> str:
        """The path on the unit of a key."""
        return f"/{_VOLUME}/{key}" if key.partition("/")[0] == _VOLUME else f"/{key}"
