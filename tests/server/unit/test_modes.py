"""Permission bits that a unit's server is told, and tells."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.server.unit.unit import UNIT
from tests.ordinary_rights import ordinary_rights
from tests.server.running_hub import TUS, RunningUnit, metadata


@pytest.fixture(autouse=True)
def usual_mask() -> Iterator[None]:
    """New files are 0640."""
    mask = os.umask(0o027)
    yield
    os.umask(mask)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("bits", ["0600", "0755", "0666", "0444"])
async def test_uploads_have_the_mode_that_was_sent(unit: RunningUnit, bits: str) -> None:
    """A new file has the bits that were sent with it, whichever way it came; one that is replaced keeps its own."""
    await unit.put("whole", b"x", mode=bits)
    url = (await unit.create("patched", 5, mode=bits)).headers["Location"]
    await unit.patch(url, 0, b"123")
    assert {mode(path) for path in (unit.root / ".dx-uploads").iterdir()} == {0o600}
    await unit.patch(url, 3, b"45")
    assert {mode(unit.root / name) for name in ("whole", "patched")} == {int(bits, 8)}
    (unit.root / "old").write_bytes(b"old")
    (unit.root / "old").chmod(0o604)
    await unit.put("old", b"new", mode=bits)
    assert ((unit.root / "old").read_bytes(), mode(unit.root / "old")) == (b"new", 0o604)
    await unit.put("untold", b"x")
    assert mode(unit.root / "untold") == 0o640


@pytest.mark.parametrize("group", ["", "g" * 16])
async def test_concatenations_have_the_mode_that_was_sent(unit: RunningUnit, group: str) -> None:
    """A file that is put together has the bits that the final upload was sent with; its parts are private before."""
    urls = []
    for start in (0, 3):
        given = metadata(group=group, start=str(start)) if group else ""
        headers = {**TUS, "Upload-Concat": "partial", "Upload-Length": "3", "Upload-Metadata": given}
        urls.append((await unit.request("POST", "/storage/upload/", headers=headers)).headers["Location"])
        await unit.patch(urls[-1], 0, b"abc")
    assert {mode(path) for path in (unit.root / ".dx-uploads").iterdir()} == {0o600}
    final = {**TUS, "Upload-Concat": f"final;{' '.join(urls)}", "Upload-Metadata": metadata(name="a", mode="0604")}
    assert (await unit.request("POST", "/storage/upload/", headers=final)).status == 201
    assert ((unit.root / "a").read_bytes(), mode(unit.root / "a")) == (b"abcabc", 0o604)


@pytest.mark.parametrize("bits", ["", "-600", "4755", "1777", "07777", "0x1ff", "rw-", "8", "0" * 9, "٠٦٠٠", "384.0"])
async def test_modes_that_cannot_be(unit: RunningUnit, bits: str) -> None:
    """What is no permission bits, or more than these, is refused before anything is made."""
    sent = await unit.put("a", b"x", mode=bits)
    assert (sent.status, sent.code) == (400, "invalid_metadata")
    made = await unit.request("PUT", f"/storage/directory/?path=/d&mode={quote(bits)}")
    assert (made.status, made.code) == (400, "invalid_parameter")
    assert list(unit.root.iterdir()) == []


async def test_directories(unit: RunningUnit) -> None:
    """A new directory has the bits asked for, whatever the mask, and its owner may use it; an old one keeps its own."""
    made = await unit.request("PUT", "/storage/directory/?path=/a/b&mode=0077")
    assert (made.status, made.tree["mode"], mode(unit.root / "a")) == (200, "0777", 0o750)
    await unit.request("PUT", "/storage/directory/?path=/a/b&mode=0700")
    assert mode(unit.root / "a/b") == 0o777


async def test_modes_are_told(unit: RunningUnit) -> None:
    """Looks, listings of both kinds and downloads tell the bits, and none of the others."""
    (unit.root / "d").mkdir(0o700)
    (unit.root / "d/x").write_bytes(b"x")
    (unit.root / "d/x").chmod(0o4711)
    assert (await unit.request("GET", "/storage/stat/?path=/d/x")).tree["mode"] == "0711"
    assert [each["mode"] for each in (await unit.request("GET", "/storage/items/?path=/d")).tree] == ["0711"]
    tree = (await unit.request("GET", "/storage/items/?path=/&recursive=true")).tree
    assert {each["name"]: each["mode"] for each in tree} == {"d": "0700", "d/x": "0711"}
    assert (await unit.get("d/x")).headers["Dx-Mode"] == "0711"


async def test_uploads_that_an_earlier_version_began(unit: RunningUnit) -> None:
    """What was kept of an upload without its mode is gone on with; the file has the bits of any."""
    url = (await unit.create("a", 5)).headers["Location"]
    info = unit.root / f".dx-uploads/{url.rpartition('/')[2]}.info"
    progress, _, text = info.read_bytes().partition(b"\n")
    kept = json.loads(text)
    assert kept.pop("mode", 0) is None
    info.write_bytes(progress + b"\n" + json.dumps(kept).encode())
    await unit.patch(url, 0, b"12345")
    assert mode(unit.root / "a") == 0o640


@pytest.mark.parametrize("bits", [0o400, 0o444])
async def test_a_crash_between_mode_and_name(unit: RunningUnit, bits: int) -> None:
    """A file that had its mode already, but not its name, gets that also where the mode lets nobody write to it."""
    url = (await unit.create("a", 5, mode=f"{bits:04o}")).headers["Location"]
    await unit.patch(url, 0, b"1234")
    name = url.rpartition("/")[2]
    data, info = (unit.root / f".dx-uploads/{name}.{kind}" for kind in ("data", "info"))
    data.write_bytes(b"12345")
    data.chmod(bits)
    with info.open("r+b") as file:
        file.write(b"%020d %08x %020d %08x\n" % (5, crc32c(b"12345"), 4, crc32c(b"1234")))
    with ordinary_rights():
        assert unit.app[UNIT].uploads.status(name).complete
    assert ((unit.root / "a").read_bytes(), mode(unit.root / "a")) == (b"12345", bits)
