"""A file system without extended attributes, also where the machine has none."""

from __future__ import annotations

import errno
import os

import pytest

__all__ = ["refuse_attributes"]


def refuse_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process see no extended attributes, as on file systems that have none."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    for name in ("getxattr", "setxattr"):
        monkeypatch.setattr(os, name, refuse, raising=False)
