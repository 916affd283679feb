"""Files that must not replace others: the unit's server decides, and of writers at the same time one wins."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dxflow_async import Settings
from dxflow_async.exceptions import AlreadyExistsError
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.security import new_names
from dxflow_async.server.unit import tus
from dxflow_async.server.unit.upload_metadata import UploadMetadata
from dxflow_async.transfer.resources import Resources
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body, read
from tests.providers.unit.started_units import own_unit
from tests.server.running_hub import SECRETS

NEW = ObjectOptions(if_absent=True)
WRITERS = 8


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """What a session owns."""
    resources = Resources(Settings(home=tmp_path / "home"))
    yield resources
    await resources.aclose()


@pytest.fixture
async def unit(resources: Resources, tmp_path: Path) -> AsyncIterator[UnitProvider]:
    """A provider of a server of ours."""
    async with own_unit(tmp_path / "volume") as url:
        yield await connect_unit("Demo", url, SECRETS.rw, resources.http, resources.threads)


async def whole(unit: UnitProvider, data: bytes) -> Entry:
    """Writes a file in one request."""
    return await unit.write("dir/name", body(data), NEW)


async def parts(unit: UnitProvider, data: bytes) -> Entry:
    """Writes a file in two parts."""
    upload = await unit.start_upload("dir/name", None, NEW)
    half = len(data) // 2
    try:
        receipts = [
            await upload.write_part(Part(1, 0, half), body(data[:half])),
            await upload.write_part(Part(2, half, len(data) - half), body(data[half:])),
        ]
        return await upload.finish(receipts, None)
    except BaseException:
        await upload.abort()
        raise


async def copied(unit: UnitProvider, data: bytes) -> Entry:
    """Copies a file of these bytes."""
    source = await unit.write(f"sources/{data[0]}", body(data), ObjectOptions())
    return await unit.copy(source, "dir/name", NEW)


Write = Callable[[UnitProvider, bytes], "asyncio.Future[Entry]"]


@pytest.mark.parametrize("renames", [True, False], ids=["one step", "by a link"])
@pytest.mark.parametrize("write", [whole, parts, copied])
async def test_one_of_many_wins(
    unit: UnitProvider, write: Write, renames: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of writers that start together one stores its bytes, all others are refused, and nothing is left of them."""
    if not renames:
        monkeypatch.setattr(new_names, "_renameat2", lambda: None)
    await unit.write("confirming", body(b""), NEW)
    assert unit.features.atomic_create
    assert unit._creation.confirmed
    data = [bytes([number]) * 1000 for number in range(WRITERS)]
    results = await asyncio.gather(*(write(unit, each) for each in data), return_exceptions=True)
    won = [number for number, result in enumerate(results) if isinstance(result, Entry)]
    assert len(won) == 1
    assert {type(each) for each in results if not isinstance(each, Entry)} == {AlreadyExistsError}, results
    assert await read(unit, "dir/name") == data[won[0]]
    with pytest.raises(AlreadyExistsError):
        await write(unit, b"later")
    assert await read(unit, "dir/name") == data[won[0]]
    left = os.listdir(tmp_path / "volume/.dx-uploads")
    assert not [name for name in left if not name.endswith(".info")]  # which tell lost answers for a while


async def test_a_name_taken_during_the_upload(unit: UnitProvider) -> None:
    """A file that appears while the parts are sent stays."""
    await unit.write("first", body(b""), NEW)
    upload = await unit.start_upload("name", None, NEW)
    receipt = await upload.write_part(Part(1, 0, 4), body(b"mine"))
    await unit.write("name", body(b"theirs"), ObjectOptions())
    with pytest.raises(AlreadyExistsError):
        await upload.finish([receipt], receipt.crc32c)
    await upload.abort()
    assert await read(unit, "name") == b"theirs"


async def test_a_server_that_does_not_confirm(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the condition is announced but not confirmed, the name is looked up first, and the features say so."""
    monkeypatch.setattr(UploadMetadata, "_absent", lambda self: False)
    async with own_unit(tmp_path / "volume") as url:
        unit = await connect_unit("Demo", url, SECRETS.rw, resources.http, resources.threads)
        assert unit.features.atomic_create
        await unit.write("name", body(b"1"), NEW)
        assert not unit.features.atomic_create
        for write in (unit.write("name", body(b"2"), NEW), unit.copy(await unit.stat("name"), "name", NEW)):
            with pytest.raises(AlreadyExistsError):
                await write
        assert await read(unit, "name") == b"1"


async def test_a_server_that_does_not_announce(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server without the extension is not asked for it."""
    monkeypatch.delitem(tus._PROTOCOL, "Dx-Extension")
    async with own_unit(tmp_path / "volume") as url:
        unit = await connect_unit("Demo", url, SECRETS.rw, resources.http, resources.threads)
        assert not unit.features.atomic_create
        await unit.write("name", body(b"1"), NEW)
        with pytest.raises(AlreadyExistsError):
            await unit.write("name", body(b"2"), NEW)
        assert await read(unit, "name") == b"1"
