"""The names that the items of one call have claimed: no two items may overwrite each other."""

from __future__ import annotations

from dxflow_async.paths import fold_name

__all__ = ["NameClaims"]


class NameClaims:
    """Destinations, each claimed by one source. A name takes some 120 bytes of memory.

    Args:
        folds: whether names count as equal that differ only in case or in Unicode form.
    """

    def __init__(self, *, folds: bool = False) -> None:
        self._folds = folds
        self._taken: dict[int, int] = {}

    def has(self, destination: str) -> bool:
        """Returns whether a source has claimed that destination."""
        return self._name(destination) in self._taken

    def take(self, destination: str, source: str) -> bool:
        """Claims a destination for a source; returns whether the source has it. Claiming twice is allowed.

        Example:
            >>> claims = NameClaims(folds=True)
            >>> claims.take("/out/README", "/bucket/README"), claims.take("/out/readme", "/bucket/readme")
            (True, False)
        """
        mine = hash((destination, source))
        return self._taken.setdefault(self._name(destination), mine) == mine

    def _name(self, destination: str) -> int:
        return hash(fold_name(destination) if self._folds else destination)
