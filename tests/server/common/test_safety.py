"""Nothing outside a unit's root is read or written, whatever is asked for, by either way of resolving paths."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dxflow_async.security import safe_open as beneath
from tests.server.running_hub import BYTES, TUS, RunningUnit

LISTED = [
    "..",
    "/..",
    "../outside/secret.txt",
    "/../outside/secret.txt",
    "/a/../../outside/secret.txt",
    "/a/../b",
    "/./a",
    "/.",
    "/volume/..",
    "/volume/../outside/secret.txt",
    "//../outside",
    "/..//outside",
    "/a\0b",
    "\0",
    "/a\0/../outside",
    "/out",
    "/out/secret.txt",
    "/out/../volume",
    "/deep/out/secret.txt",
    "/absolute",
    "/absolute/secret.txt",
    "/file-out",
    "/loop",
    "/loop/x",
    "/up",
    "/up/outside/secret.txt",
    "/proc-link/self/environ",
    "/.dx-uploads",
    "/.dx-uploads/x",
    "/.Dx-Uploads/x",
    "/volume/.dx-uploads/x",
    "//.dx-uploads//x",
    "/" + "a" * 300,
    "/" + "a/" * 3000,
    "/" + "../" * 500 + "outside/secret.txt",
    "/" + "é" * 200,
]
RAW = [
    "%2e%2e/outside/secret.txt",
    "%2e%2e%2foutside",
    "..%2foutside%2fsecret.txt",
    "%00",
    "a%00b",
    "..%00/outside",
    "/%2e",
    "%2e%2e%5c",
]
PIECES = [
    "..",
    ".",
    "",
    "out",
    "up",
    "absolute",
    "deep",
    "outside",
    "secret.txt",
    "volume",
    ".dx-uploads",
    "a",
    "\0",
    "..\\",
    "etc",
]


def generated() -> Iterator[str]:
    """Paths of hostile pieces, in the query's own encoding."""
    chance = random.Random(4)
    for _ in range(200 - len(LISTED) - len(RAW)):
        yield quote("/".join(chance.choice(PIECES) for _ in range(chance.randrange(1, 6))), safe="/")


HOSTILE = [*(quote(path, safe="/") for path in LISTED), *RAW, *generated()]


@pytest.fixture(params=["openat2", "walking"])
def resolver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How paths are resolved: by the kernel, where it can, or name by name."""
    if request.param == "walking":
        monkeypatch.setattr(beneath, "has_openat2", lambda: False)
    elif not beneath.has_openat2():
        pytest.skip("this kernel has no openat2")
    return str(request.param)


def traps(root: Path) -> None:
    """Links out of the volume, in every form."""
    outside = root.parent / "outside"
    (root / "deep").mkdir()
    (root / "a").mkdir()
    (root / "out").symlink_to("../outside")
    (root / "deep/out").symlink_to("../../outside")
    (root / "absolute").symlink_to(outside)
    (root / "file-out").symlink_to("../outside/secret.txt")
    (root / "loop").symlink_to("loop")
    (root / "up").symlink_to("..")
    (root / "proc-link").symlink_to("/proc")


def lay_out(root: Path) -> None:
    """The traps and a plain file, and nothing else, as nothing was asked for yet."""
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    traps(root)
    (root / "plain").write_text("plain")


def state_of(directory: Path) -> dict[str, tuple[int, int, str]]:
    """Everything below a directory that a write would change."""
    found = {}
    for path in [directory, *directory.rglob("*")]:
        status = path.lstat()
        content = path.read_text() if path.is_file() else ""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found


def routes(path: str) -> Iterator[tuple[str, str]]:
    """Every request that takes a path."""
    yield "GET", f"/storage/items/?path={path}"
    yield "GET", f"/storage/items/?path={path}&recursive=true"
    yield "GET", f"/storage/download/?path={path}"
    yield "GET", f"/storage/stat/?path={path}"
    yield "PUT", f"/storage/transfer/?path={path}&destination=/copied"
    yield "PUT", f"/storage/transfer/?path=/plain&destination={path}"
    yield "PUT", f"/storage/rename/?path=/plain&destination={path}"
    yield "PUT", f"/storage/directory/?path={path}"
    yield "PUT", f"/storage/rename/?path={path}&destination=/moved"
    yield "DELETE", f"/storage/items/?path={path}"


async def upload_to(unit: RunningUnit, path: str, name: bytes) -> list[int]:
    """The statuses of an upload to a raw path, whole and in two steps."""
    from urllib.parse import unquote_to_bytes

    directory = base64.b64encode(unquote_to_bytes(path)).decode()
    given = {"Upload-Length": "5", "Upload-Metadata": f"path {directory},name {base64.b64encode(name).decode()}"}
    whole = await unit.request("POST", "/storage/upload/", headers={**BYTES, **given}, data=b"12345")
    created = await unit.request("POST", "/storage/upload/", headers={**TUS, **given})
    if created.status == 201:
        await unit.patch(created.headers["Location"], 0, b"12345")
    return [whole.status, created.status]


async def test_hostile_paths_reach_nothing(unit: RunningUnit, resolver: str) -> None:
    """200 hostile paths against every route: nothing outside is read, written, listed or removed, and none is a 500."""
    assert resolver
    assert len(HOSTILE) == 200
    outside = unit.root.parent / "outside"
    (outside / "unlisted").touch()
    before, beside = state_of(outside), sorted(os.listdir(unit.root.parent))
    statuses = set()
    for number, path in enumerate(HOSTILE):
        lay_out(unit.root)
        for method, route in routes(path):
            answer = await unit.request(method, route)
            assert answer.status < 500, (method, route, answer)
            assert answer.content != b"outside", (method, route)
            assert b"unlisted" not in answer.content, (method, route)
            assert state_of(outside) == before, (method, route)
            statuses.add(answer.status)
            if method != "GET":
                lay_out(unit.root)
        name = (b"new.txt", b"..", b"a/../../b")[number % 3]
        assert all(status < 500 for status in await upload_to(unit, path, name))
        assert state_of(outside) == before, path
    assert sorted(os.listdir(unit.root.parent)) == beside
    assert {200, 400, 403, 404} <= statuses


@pytest.mark.parametrize("path", ["/out/secret.txt", "/absolute/secret.txt", "/file-out", "/up/outside/secret.txt"])
async def test_links_that_lead_out(unit: RunningUnit, resolver: str, path: str) -> None:
    """A link out of the volume is 403 to read through and to write through; it is listed as what it is, and can go."""
    assert resolver
    traps(unit.root)
    assert (await unit.request("GET", f"/storage/download/?path={path}")).code == "outside"
    listed = (await unit.request("GET", "/storage/items/?path=/")).tree
    link = path.split("/")[1]
    (item,) = [each for each in listed if each["name"] == link]
    assert "leads out" in item["unreadable"]
    if link != "file-out":
        assert (await unit.put(f"{link}/new", b"1")).code == "outside"
    assert (await unit.request("DELETE", f"/storage/items/?path=/{link}")).status == 200
    assert (unit.root.parent / "outside/secret.txt").read_text() == "outside"


async def test_a_link_in_the_place_of_a_file_is_replaced(unit: RunningUnit, resolver: str) -> None:
    """An upload to the name of a link out is refused, or replaces the link: what it leads to stays."""
    assert resolver
    traps(unit.root)
    for answer in (await unit.put("file-out", b"1"), await unit.create("file-out", 5)):
        assert answer.status in (201, 403)
    assert (unit.root.parent / "outside/secret.txt").read_text() == "outside"


async def test_a_removed_tree_takes_no_link_with_it(unit: RunningUnit, resolver: str) -> None:
    """Removing a directory removes the links in it, and nothing behind them."""
    assert resolver
    traps(unit.root)
    assert (await unit.request("DELETE", "/storage/items/?path=/deep")).status == 200
    assert (unit.root.parent / "outside/secret.txt").exists()


async def test_names_that_change_while_they_are_used(unit: RunningUnit, resolver: str) -> None:
    """While a directory and a link out change places all the time, no request ever gets through the link."""
    assert resolver
    outside, stop = unit.root.parent / "outside", threading.Event()
    before = state_of(outside)

    def swap() -> None:
        real, link, now = unit.root / ".real", unit.root / ".link", unit.root / "now"
        real.mkdir()
        (real / "secret.txt").write_text("inside")
        link.symlink_to("../outside")
        while not stop.is_set():
            for other in (real, link):
                with contextlib.suppress(OSError):
                    os.rename(other, now)
                    os.rename(now, other)

    swapping = asyncio.create_task(asyncio.to_thread(swap))
    try:
        seen = set()
        for number in range(150):
            for method, route in (
                ("GET", "/storage/download/?path=/now/secret.txt"),
                ("GET", "/storage/items/?path=/now"),
                ("PUT", f"/storage/directory/?path=/now/made-{number}"),
                ("DELETE", f"/storage/items/?path=/now/made-{number}"),
            ):
                answer = await unit.request(method, route)
                assert answer.status < 500 or answer.code == "busy", answer
                assert answer.content != b"outside"
                seen.add(answer.status)
            await unit.put(f"now/put-{number}", b"1")
    finally:
        stop.set()
        await swapping
    assert {name.partition("#")[0] for name in state_of(outside)} == set(before)
    assert (outside / "secret.txt").read_text() == "outside"
    assert len(seen) > 1


async def test_the_root_is_held(unit: RunningUnit) -> None:
    """Who puts another directory in the root's place changes nothing: the one that was opened is served."""
    await unit.put("a", b"1")
    moved = unit.root.parent / "moved"
    unit.root.rename(moved)
    unit.root.symlink_to("outside")
    assert (await unit.get("a")).content == b"1"
    assert (await unit.get("secret.txt")).status == 404
    unit.root.unlink()
    shutil.rmtree(moved)


def test_walking_follows_no_link(tmp_path: Path) -> None:
    """Without openat2 even a link that stays inside is refused, as the module says."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").touch()
    (tmp_path / "link").symlink_to("real")
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        os.close(beneath.walk_beneath(root, "real/file", os.O_RDONLY))
        for path, flags in (
            ("link/file", os.O_RDONLY),
            ("link", beneath.O_PATH),
            ("link", os.O_RDONLY | os.O_DIRECTORY),
        ):
            with pytest.raises(OSError, match="Too many levels of symbolic links"):
                beneath.walk_beneath(root, path, flags)
    finally:
        os.close(root)
