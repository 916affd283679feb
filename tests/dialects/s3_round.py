"""One round of everything that a session does with S3: each verb once, small objects and one in parts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dxflow_async import AsyncSession, Settings
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE, aws_settings
from tests.sessions import MiB, part_files, retry_soon

__all__ = ["open_session", "play"]

_TREE = {
    "a.txt": b"a",
    "empty": b"",
    "dir/plus+and space": b"1" * 100,
    "dir/ünï%41.csv": b"2" * 300,
    "dir/whole": bytes(range(250)) * 6000,  # larger than a part, and sent as one
    "dir/parts": bytes(range(251)) * 14_000,
}
"""Relative names and their bytes."""


@asynccontextmanager
async def open_session(server: S3Server, home: Path, **options: Any) -> AsyncIterator[AsyncSession]:
    """Opens a session at a server, with small parts, little patience and other settings of the remote."""
    options.setdefault("requester_pays", server.quirks.requester_pays)
    settings = Settings(home=home, aws=aws_settings(server, **options))
    object.__setattr__(settings, "part_size", MiB)  # below the smallest that users may choose
    async with AsyncSession(settings=settings) as session:
        retry_soon(session)
        provider = (await session._resolver.area("AWS")).provider
        provider.features = replace(
            provider.features, min_part_size=PART_SIZE, max_copy_size=2 * MiB, endpoint=server.endpoint
        )
        yield session


async def play(session: AsyncSession, server: S3Server, directory: Path, name: str) -> None:
    """Uploads, lists, downloads, copies, syncs, streams and deletes below `name`, and compares every byte.

    Args:
        session: at the server.
        server: its bucket is named `bucket`.
        directory: for local files.
        name: of a new directory in the bucket.
    """
    storage, top = session.get_storage_manager(), f"/bucket/{name}"
    _write(directory / "up")
    await storage.upload(f"{directory}/up/", f"{top}/up/")
    assert _below(server, f"{name}/up/") == _TREE
    listed = [item async for item in storage.scan(path=f"{top}/up/")]
    assert {item.path.removeprefix(f"{top}/up/"): item.size for item in listed} == {
        path: len(data) for path, data in _TREE.items()
    }
    assert {item.path.removeprefix(f"{top}/up/") for item in await storage.list(path=f"{top}/up/")} == {
        "a.txt",
        "empty",
        "dir/",
    }
    assert (await storage.stat(f"{top}/up/dir/parts")).size == len(_TREE["dir/parts"])
    assert not await storage.exists(f"{top}/up/missing")
    await storage.download(f"{top}/up/", f"{directory}/down-{name}/")
    assert _read(directory / f"down-{name}") == _TREE
    assert (
        b"".join([chunk async for chunk in storage.read(f"{top}/up/dir/parts", 5, 5000)])
        == (_TREE["dir/parts"][5:5000])
    )
    await session.copy(f"aws:{top}/up/", f"aws:{top}/copy/")
    assert _below(server, f"{name}/copy/") == _TREE
    await _sync(session, server, directory, name)
    await storage.write(f"{top}/stream", _chunks())
    assert server.objects()[f"{name}/stream"] == b"".join([chunk async for chunk in _chunks()])
    await session.move(f"aws:{top}/stream", f"aws:{top}/moved")
    assert f"{name}/stream" not in server.objects()
    assert server.objects()[f"{name}/moved"] == b"".join([chunk async for chunk in _chunks()])
    assert await storage.delete(f"{top}/") == 2 * len(_TREE) + 1
    assert _below(server, f"{name}/") == {}
    assert server.unfinished() == []
    assert part_files(directory) == []


async def _sync(session: AsyncSession, server: S3Server, directory: Path, name: str) -> None:
    """A sync sends nothing that is there, what has changed, and removes what is gone."""
    place = f"aws:/bucket/{name}/up/"
    assert len(await session.sync(f"{directory}/up/", place, delete=True)) == 0
    (directory / "up/a.txt").write_bytes(b"changed")
    (directory / "up/empty").unlink()
    report = await session.sync(f"{directory}/up/", place, delete=True)
    assert len(report) == 2
    expected = {**_TREE, "a.txt": b"changed"}
    del expected["empty"]
    assert _below(server, f"{name}/up/") == expected
    await session.sync(place, f"aws:/bucket/{name}/copy/", delete=True)
    assert _below(server, f"{name}/copy/") == expected
    assert len(await session.sync(place, f"aws:/bucket/{name}/copy/", delete=True)) == 0
    _write(directory / "up")
    await session.sync(f"{directory}/up/", place)
    await session.sync(place, f"aws:/bucket/{name}/copy/")
    assert _below(server, f"{name}/copy/") == _TREE


async def _chunks() -> AsyncIterator[bytes]:
    for number in range(9):
        yield bytes([number]) * 300_001


def _write(directory: Path) -> None:
    for path, data in _TREE.items():
        file = directory / path
        if not file.exists() or file.read_bytes() != data:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            os.utime(file, (1_700_000_000, 1_700_000_000))


def _read(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _below(server: S3Server, prefix: str) -> dict[str, bytes]:
    return {key.removeprefix(prefix): data for key, data in server.objects().items() if key.startswith(prefix)}
