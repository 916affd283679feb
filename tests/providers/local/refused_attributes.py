"""File systems without extended attributes, permission bits or times, also where the machine has none."""

from __future__ import annotations

import errno
import os

import pytest

__all__ = ["refuse_attributes", "refuse_modes_and_times"]


def refuse_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process see no extended attributes, as on file systems that have none."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    for name in ("getxattr", "setxattr"):
        monkeypatch.setattr(os, name, refuse, raising=False)


def refuse_modes_and_times(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Makes changes of permission bits and times fail, as FAT, network file systems and those of user space do."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("fchmod", "utime"):
        monkeypatch.setattr(os, name, refuse)
