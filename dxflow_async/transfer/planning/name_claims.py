"""Which names the items of one call have taken, so that no two of them become one file, the last one winning."""

from __future__ import annotations

from dxflow_async.paths import fold_name

__all__ = ["NameClaims"]


class NameClaims:
    """The destinations that were given away, each to one source; some 120 bytes of memory a name.

    Args:
        folds: names that differ in case only, or in how a letter is written, count as one.
    """

    def __init__(self, *, folds: bool = False) -> None:
        self._folds = folds
        self._taken: dict[int, int] = {}

    def has(self, destination: str) -> bool:
        """Whether something of the call has that name."""
        return self._name(destination) in self._taken

    def take(self, destination: str, source: str) -> bool:
        """Whether the source may have the name; what is listed twice keeps what it has.

        Example:
            >>> claims = Claims(folds=True)
            >>> claims.take("/out/README", "/bucket/README"), claims.take("/out/readme", "/bucket/readme")
            (True, False)
        """
        mine = hash((destination, source))
        return self._taken.setdefault(self._name(destination), mine) == mine

    def _name(self, destination: str) -> int:
        return hash(fold_name(destination) if self._folds else destination)
