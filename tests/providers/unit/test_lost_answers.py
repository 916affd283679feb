"""Uploads whose last answer is lost, at servers that forget an upload once it is a file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import ObjectOptions
from tests.providers.in_memory_bodies import body
from tests.providers.unit.connected_client import connected
from tests.servers.odd_tus import OddTus

KiB, MiB = 1 << 10, 1 << 20
DATA = random.Random(6).randbytes(11 * MiB + 5)
SIZES = [100 * KiB, len(DATA)]
KINDS = ["creation,termination", "creation,concatenation,termination"]


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("extensions", KINDS)
@pytest.mark.parametrize("size", SIZES)
async def test_lost_last_answers(tmp_path: Path, extensions: str, size: int, drops: bool) -> None:
    """A file whose last answer was lost is found at the server, and its bytes are not sent again."""
    server = OddTus(extensions=extensions, loses=1, drops_finished=drops)
    async with connected(server, tmp_path) as client:
        await client.send(DATA[:size])
        assert server.files["file"] == DATA[:size]
        assert sum(sent for _, sent in server.requests) == size


@pytest.mark.parametrize("extensions", KINDS)
@pytest.mark.parametrize("size", SIZES)
async def test_other_files_are_not_believed(tmp_path: Path, extensions: str, size: int) -> None:
    """Where the upload is gone and a file of the same size has other bytes, the upload is not taken for done."""
    server = OddTus(extensions=extensions, loses=1, drops_finished=True, replaces=1)
    async with connected(server, tmp_path) as client:
        try:
            await client.send(DATA[:size])
        except StorageError:
            assert "concatenation" in extensions  # the parts are gone, and only another call sends them again
            await client.send(DATA[:size])
        assert server.files["file"] == DATA[:size]


@pytest.mark.parametrize("drops", [False, True])
async def test_answers_without_an_offset(tmp_path: Path, drops: bool) -> None:
    """An answer with status 200 and no offset is looked at, also where the upload became a file and is gone."""
    server = OddTus(offset_unsaid=True, drops_finished=drops)
    async with connected(server, tmp_path) as client:
        await client.send(DATA)
        await client.unit.write("memory", body(DATA), ObjectOptions())
        assert server.files == {"file": DATA, "memory": DATA}
        assert sum(sent for _, sent in server.requests) == 2 * len(DATA)
