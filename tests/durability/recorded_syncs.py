"""What this process does to files, in order: syncs, renames and removals, as audit hooks see them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Recorder", "recorded"]


class Recorder:
    """The events below a directory, as `"sync NAME"`, `"rename NAME"` and `"remove NAME"`.

    `"sync all"` stands for a whole file system. A temporary file's name is `*`; the directory itself is `.`, and those
    above it are left out.
    """

    def __init__(self, top: Path) -> None:
        self._top = os.path.realpath(top)
        self.events: list[str] = []

    def note(self, what: str, path: str) -> None:
        """Keeps an event."""
        path = os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
        if path == self._top or path.startswith(f"{self._top}/"):
            directory, _, name = os.path.relpath(path, self._top).rpartition("/")
            shown = "*" if name.endswith((".dxpart", ".tmp", ".data", ".new")) else name
            self.events.append(f"{what} {directory}/{shown}" if directory else f"{what} {shown}")

    def order(self, *events: str) -> bool:
        """Whether these happened, each after the one before it."""
        found = iter(self.events)
        # Each search goes on where the last one ended.
        return all(any(_is(each, event) for each in found) for event in events)


_active: list[Recorder] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _active:
        return
    if event == "dxflow_async.sync_system":
        _active[-1].events.append("sync all")
    elif event == "dxflow_async.sync":
        _active[-1].note("sync", os.readlink(f"/proc/self/fd/{args[0]}"))
    elif event == "os.rename":
        _active[-1].note("rename", _path(args[1], args[3]))
    elif event == "os.remove":
        _active[-1].note("remove", _path(args[0], args[1]))


def _is(found: str, wanted: str) -> bool:
    return found == wanted or (found == "sync all" and wanted.startswith("sync "))


def _path(name: Any, directory: int) -> str:
    text = os.fsdecode(name)
    return text if directory < 0 or os.path.isabs(text) else os.readlink(f"/proc/self/fd/{directory}") + "/" + text


sys.addaudithook(_hook)


@contextmanager
def recorded(top: Path) -> Iterator[Recorder]:
    """Records what happens below a directory."""
    recorder = Recorder(top)
    _active.append(recorder)
    try:
        yield recorder
    finally:
        _active.remove(recorder)
