"""A unit that is not ours: npm's `@tus/server` with `@tus/file-store`, and the published storage routes."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.azurite import node, npm_install
from tests.servers.process import Process, free_port

__all__ = ["ForeignUnit"]

_SERVER, _STORE = ("@tus/server", "2.4.5"), ("@tus/file-store", "2.1.1")


class ForeignUnit:
    """The unit; ends with its `with` block.

    Args:
        directory: for its volume and its log.
        left_out: what it does not do: `"range"`, `"length"` of downloads.

    Attributes:
        root: what it serves.
        uploads: where uploads lie that are not finished.
    """

    secret = "the-foreign-secret"

    def __init__(self, directory: Path, *left_out: str) -> None:
        self.root, self.uploads = directory / "volume", directory / "uploads"
        self.root.mkdir(parents=True, exist_ok=True)
        self.uploads.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = directory / "foreign.log"
        self._left_out = left_out

    def start(self) -> Process:
        """Start, and wait until it answers."""
        packages = [str(npm_install(name, version) / name) for name, version in (_SERVER, _STORE)]
        script = Path(__file__).with_suffix(".mjs")
        places = [str(self.port), str(self.root), str(self.uploads)]
        process = Process(
            [str(node("bin", "node")), str(script), *places, *packages, *self._left_out],
            self._log,
        )
        process.wait_until(self._answers)
        return process

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self) -> Self:
        self.process = self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
