"""The paths in errors about local files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import PreconditionFailedError
from dxflow_async.providers.registry import local_provider


async def test_error_of_a_changed_file_has_its_whole_path(tmp_path: Path) -> None:
    """An error about a file that was changed shows its absolute path, also below the root of the file system."""
    path = tmp_path / "small.log"
    path.write_text("new")
    threads = Threads(1)
    try:
        provider = local_provider("/", threads, follow_symlinks=True)
        with pytest.raises(PreconditionFailedError, match=f" of {path} failed") as changed:
            await provider.read(str(path).lstrip("/"), etag="old")
    finally:
        threads.close()
    assert changed.value.path == str(path)
