from __future__ import annotations

from pathlib import Path

from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.sftp.provider import SFTPProvider
from tests.providers.in_memory_bodies import body, read


async def test_written_bytes_are_read_back(sftp: SFTPProvider, area: Path) -> None:
    """What was written is a file on the server, and what is read."""
    await sftp.write("dir/name", body(b"content"), ObjectOptions())
    assert (area / "dir/name").read_bytes() == b"content"
    assert await read(sftp, "dir/name") == b"content"
