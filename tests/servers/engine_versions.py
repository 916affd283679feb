"""Records at each request whether some name of the test engine has a whole version of each file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.servers.engine import EngineServer

__all__ = ["KeptVersions"]


class KeptVersions:
    """The versions of files of which one has to be in the volume, whole, at every moment.

    Args:
        server: it is looked at before and after each of its requests, and within each of its copies.

    Attributes:
        lost: the files of which no version was there, with the requests.
    """

    def __init__(self, server: EngineServer) -> None:
        self.lost: list[str] = []
        self._server = server
        self._allowed: dict[str, set[bytes]] = {}
        server.moments = self.look

    def expect(self, name: str, *versions: bytes) -> None:
        """Demands that one of these versions is there from now on, under whatever name."""
        self._allowed[name] = set(versions)

    def forget(self, names: Iterable[str] | None = None) -> None:
        """Demands files no longer, all by default: they are about to be deleted."""
        for name in list(self._allowed if names is None else names):
            self._allowed.pop(name, None)

    def look(self, moment: str) -> None:
        """Looks at the volume."""
        there = set(_contents(self._server.root))
        # An engine that shows uploads late keeps them beside its volume meanwhile.
        there |= {path.read_bytes() for path in self._server.root.parent.glob("late-*")}
        for name, versions in self._allowed.items():
            if there.isdisjoint(versions):
                self.lost.append(f"{name}: {moment}")


def _contents(root: Path) -> Iterable[bytes]:
    for path in root.rglob("*"):
        try:
            yield path.read_bytes()
        except OSError:
            continue  # a directory, or a file that was renamed meanwhile
