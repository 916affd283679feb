"""Objects that are there already: replaced, kept, skipped, or compared first; and writes on a condition."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dxflow_async import (
    AlreadyExistsError,
    AsyncSession,
    ConfigurationError,
    PreconditionFailedError,
    Settings,
    StorageError,
    TransferError,
)
from tests.sessions import MiB
from tests.storage.tested_accounts import Spots

CLOUDS = ("AWS", "AZURE", "GCP")
EVERYWHERE = (*CLOUDS, "UNIT", "LOCAL")


async def _read(session: AsyncSession, location: str) -> bytes:
    if location.startswith("/"):
        return await asyncio.to_thread(Path(location).read_bytes)
    storage, path = await session.storage_at(location)
    return b"".join([chunk async for chunk in storage.read(path)])


async def _stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _errors(error: TransferError) -> set[type[StorageError]]:
    return {type(each.error) for each in error.report.failed if each.error is not None}


@pytest.mark.parametrize("size", [5, 12 * MiB], ids=["small", "in parts"])
@pytest.mark.parametrize("provider", EVERYWHERE)
async def test_existing_objects(
    everywhere: AsyncSession, spots: Spots, tmp_path: Path, provider: str, size: int
) -> None:
    """False is an error of the item, "skip" a skip, and neither changes what is there; True replaces it."""
    target = spots(provider, "over") / "name"
    (tmp_path / "new").write_bytes(b"n" * size)
    (tmp_path / "old").write_bytes(b"old")
    await everywhere.copy(str(tmp_path / "old"), target, overwrite=False)
    with pytest.raises(TransferError) as raised:
        await everywhere.copy(str(tmp_path / "new"), target, overwrite=False)
    assert _errors(raised.value) == {AlreadyExistsError}
    (skipped,) = await everywhere.copy(str(tmp_path / "new"), target, overwrite="skip")
    assert (skipped.skipped, skipped.bytes) == ("it exists already", 0)
    assert await _read(everywhere, target) == b"old"
    await everywhere.copy(str(tmp_path / "new"), target)
    assert await _read(everywhere, target) == b"n" * size
    other = spots(provider, "over") / "other"
    (copied,) = await everywhere.copy(str(tmp_path / "new"), other, overwrite="skip")
    assert (copied.skipped, copied.bytes) == (None, size)
    assert await _read(everywhere, other) == b"n" * size


@pytest.mark.parametrize("provider", EVERYWHERE)
async def test_comparisons(everywhere: AsyncSession, spots: Spots, tmp_path: Path, provider: str) -> None:
    """The rule "if-newer" replaces what was changed earlier, "if-different" what has other bytes or another time."""
    source, target = tmp_path / "source", spots(provider, "compared") / "name"
    source.write_bytes(b"first")
    os.utime(source, (1_700_000_000, 1_700_000_000))
    await everywhere.copy(str(source), target, overwrite="if-newer")
    for rule in ("if-newer", "if-different"):
        (result,) = await everywhere.copy(str(source), target, overwrite=rule)
        assert result.skipped is not None
    source.write_bytes(b"older!")
    os.utime(source, (1_600_000_000, 1_600_000_000))
    (result,) = await everywhere.copy(str(source), target, overwrite="if-newer")
    assert result.skipped == "it is not newer than at the destination"
    (result,) = await everywhere.copy(str(source), target, overwrite="if-different")
    assert result.skipped is None
    assert await _read(everywhere, target) == b"older!"
    source.write_bytes(b"newest")
    (result,) = await everywhere.copy(str(source), target, overwrite="if-newer")
    assert result.skipped is None
    assert await _read(everywhere, target) == b"newest"


@pytest.mark.parametrize("provider", EVERYWHERE)
async def test_moves_and_trees(everywhere: AsyncSession, spots: Spots, tmp_path: Path, provider: str) -> None:
    """A move keeps the sources that it skips, and a tree has one result for each file."""
    (tmp_path / "tree").mkdir()
    for name in ("a", "b"):
        (tmp_path / "tree" / name).write_bytes(name.encode())
    top = spots(provider, "moved") / ""
    (tmp_path / "there").write_bytes(b"there")
    await everywhere.copy(str(tmp_path / "there"), f"{top}a")
    report = await everywhere.move(f"{tmp_path / 'tree'}/", top, overwrite="skip")
    assert {each.source.rpartition("/")[2]: each.skipped for each in report} == {"a": "it exists already", "b": None}
    assert sorted(each.name for each in (tmp_path / "tree").iterdir()) == ["a"]
    assert await _read(everywhere, f"{top}a") == b"there"
    assert await _read(everywhere, f"{top}b") == b"b"
    within = spots(provider, "second") / "moved"
    report = await everywhere.copy(top, f"{within}/", overwrite=False)
    assert len(report) == 2 or provider == "LOCAL"
    with pytest.raises(TransferError) as raised:
        await everywhere.move(f"{top}a", f"{within}/b", overwrite=False)
    assert _errors(raised.value) == {AlreadyExistsError}
    assert await _read(everywhere, f"{top}a") == b"there"


@pytest.mark.parametrize("provider", [*CLOUDS, "UNIT"])
async def test_many(everywhere: AsyncSession, spots: Spots, tmp_path: Path, provider: str) -> None:
    """Pairs take the same rules, up and down."""
    storage, top = await everywhere.storage_at(spots(provider, "many") / "")
    files = [tmp_path / str(number) for number in range(3)]
    for file in files:
        file.write_bytes(b"up")
    await storage.upload_many([(str(files[0]), f"{top}0")])
    report = await storage.upload_many([(str(file), top + file.name) for file in files], overwrite="skip")
    assert len(report.skipped) == 1
    with pytest.raises(TransferError) as raised:
        await storage.upload_many([(str(file), top + file.name) for file in files], overwrite=False)
    assert len(raised.value.report.failed) == 3
    files[1].unlink()
    report = await storage.download_many([(top + file.name, str(file)) for file in files], overwrite="skip")
    assert [each.bytes for each in report if each.skipped is None] == [2]
    with pytest.raises(TransferError) as raised:
        await storage.download(f"{top}0", str(files[0]), overwrite=False)
    assert _errors(raised.value) == {AlreadyExistsError}


@pytest.mark.parametrize("provider", [*CLOUDS, "UNIT"])
async def test_etags(everywhere: AsyncSession, spots: Spots, tmp_path: Path, provider: str) -> None:
    """An etag of an older version refuses write, upload and deletion; that of the present one permits them."""
    storage, top = await everywhere.storage_at(spots(provider, "etags") / "")
    path, file = f"{top}name", tmp_path / "file"
    file.write_bytes(b"from a file")
    await storage.write(path, _stream(b"one"), overwrite=False)
    old = (await storage.stat(path)).etag
    await storage.write(path, _stream(b"second"))
    for attempt in (
        storage.write(path, _stream(b"lost"), if_match=old),
        storage.upload(file, path, if_match=old),
        storage.delete(path, if_match=old),
    ):
        with pytest.raises((PreconditionFailedError, TransferError)) as raised:
            await attempt
        if isinstance(raised.value, TransferError):
            assert _errors(raised.value) == {PreconditionFailedError}
            assert all(each.attempts == 1 for each in raised.value.report)
    with pytest.raises(AlreadyExistsError):
        await storage.write(path, _stream(b"lost"), overwrite=False)
    (skipped,) = await storage.write(path, _stream(b"lost"), overwrite="skip")
    assert skipped.skipped is not None
    assert await _read(everywhere, spots(provider, "etags") / "name") == b"second"
    await storage.write(path, _stream(b"third"), if_match=(await storage.stat(path)).etag)
    await storage.upload(file, path, if_match=(await storage.stat(path)).etag)
    assert await storage.delete(path, if_match=f'"{(await storage.stat(path)).etag}"') == 1
    assert not await storage.exists(path)
    with pytest.raises(PreconditionFailedError):
        await storage.delete(path, if_match=old)


@pytest.mark.parametrize("place", ["local", "ssh"])
async def test_etags_in_quotes(tmp_path: Path, place: str) -> None:
    """An etag as HTTP writes it, in quotes, is the same one, also where no service compares it."""
    with ExitStack() as stack:
        remotes, top = {}, f"{tmp_path}/top"
        if place == "ssh":
            pytest.importorskip("asyncssh")
            from tests.servers.ssh import SSHServer

            remotes, top = {"lab": stack.enter_context(SSHServer.start(tmp_path / "server")).settings()}, "lab:/top"
        async with AsyncSession(settings=Settings(home=tmp_path / "home", remotes=remotes)) as session:
            storage, path = await session.storage_at(f"{top}/x")
            await storage.write(path, b"one")
            old = (await storage.stat(path)).etag
            await storage.write(path, b"second")
            for etag in (old, f'"{old}"'):
                with pytest.raises(PreconditionFailedError):
                    await storage.write(path, b"lost", if_match=etag)
            await storage.write(path, b"third one", if_match=f'"{(await storage.stat(path)).etag}"')
            assert (await storage.stat(path)).size == 9


async def test_wrong_arguments(everywhere: AsyncSession, spots: Spots, tmp_path: Path) -> None:
    """A rule that there is not, and an etag for many files, are refused before anything is sent."""
    storage, top = await everywhere.storage_at(spots("AWS", "wrong") / "")
    (tmp_path / "tree").mkdir()
    with pytest.raises(ConfigurationError, match="overwrite = 'never' is not allowed"):
        await storage.upload(tmp_path, top, overwrite="never")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="exclude each other"):
        await storage.upload(tmp_path, top, overwrite=False, if_match="abc")
    for empty in ("", '""'):
        for call in (storage.write(f"{top}x", b"", if_match=empty), storage.delete(f"{top}x", if_match=empty)):
            with pytest.raises(ConfigurationError, match="etag"):
                await call
    with pytest.raises(ConfigurationError, match="if_match is the etag of one object"):
        await storage.upload(tmp_path / "tree", top, if_match="abc")
    with pytest.raises(ConfigurationError, match="has no time"):
        await storage.write(f"{top}x", _stream(b""), overwrite="if-newer")  # type: ignore[arg-type]
