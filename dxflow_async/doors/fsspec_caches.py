"""Files that are written through the caching file systems of fsspec, as in `simplecache::dxflow://aws/bucket/key`.

These write a local file, and put it into the file system below when it is closed, even if its `with` block raised.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from dxflow_async.storage.files.raised_blocks import block_has_raised

__all__ = ["dropped_of_cache"]

_MODULE = "fsspec.implementations.cached"

_DEPTH = 4
"""How many calls above `put` are looked at: the caching file systems wrap each other."""


def dropped_of_cache() -> bool:
    """Returns whether a caching file system puts files whose block has raised; then their local copies are removed.

    A copy that stayed would be read as the file by the next reader of the cache.
    """
    cached = sys.modules.get(_MODULE)
    if cached is None or sys.exception() is None:
        return False
    one, many = cached.LocalTempFile.commit.__code__, cached.WholeFileCacheFileSystem.commit_many.__code__
    frame, files = sys._getframe(1), list[Any]()
    for _ in range(_DEPTH):
        above = frame.f_back
        if above is None:
            return False
        frame = above
        if frame.f_code is one:
            files = [frame.f_locals["self"]]
        elif frame.f_code is many:
            files = frame.f_locals["open_files"]
        if files:
            break
    if not files or not block_has_raised():
        return False
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            os.remove(file.fn)
    return True
