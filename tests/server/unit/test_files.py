"""A unit's routes for what is in its volume: listing, looking, removing, copying, moving, making directories."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pytest

from dxflow_async.checksum import crc32c, encode
from dxflow_async.server.unit import files
from tests.server.running_hub import RunningUnit


async def items(unit: RunningUnit, query: str = "path=/", **options: Any) -> list[dict[str, Any]]:
    """The items of a listing."""
    answer = await unit.request("GET", f"/storage/items/?{query}", **options)
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"].startswith("application/json")
    listed: list[dict[str, Any]] = answer.tree
    return listed


def tree_of(root: Path) -> dict[str, bytes | None]:
    """What is below a directory: contents of files, None for directories."""
    found = {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}
    return {name: content for name, content in found.items() if not name.startswith(".dx-uploads")}


async def test_listing_has_the_wire_form(unit: RunningUnit) -> None:
    """An item has name, directory, size and modification, as the wire facts say, and its mode; a file has its ETag."""
    (unit.root / "preview.png").write_bytes(b"x" * 137)
    os.utime(unit.root / "preview.png", (1_700_000_000, 1_700_000_000.25))
    (unit.root / ".dx").mkdir()
    directory, file = await items(unit)
    assert directory.keys() == {"name", "directory", "size", "modification", "mode"}
    assert (directory["name"], directory["directory"]) == (".dx", True)
    assert {key: file[key] for key in ("name", "directory", "size", "modification")} == {
        "name": "preview.png",
        "directory": False,
        "size": 137,
        "modification": 1_700_000_000.25,
    }
    assert file["etag"]


async def test_directories_come_first(unit: RunningUnit) -> None:
    """A plain listing has directories before files; by key it has the order of the keys' bytes."""
    for name in ("b", "a-", "é"):
        (unit.root / name).touch()
    for name in ("z", "a"):
        (unit.root / name).mkdir()
    assert [item["name"] for item in await items(unit)] == ["a", "z", "a-", "b", "é"]
    # "a-" before "a/": a directory's key ends in a slash.
    assert [item["name"] for item in await items(unit, "path=/&order=key")] == ["a-", "a", "b", "z", "é"]


async def test_links_to_directories_are_in_key_order(unit: RunningUnit) -> None:
    """A link to a directory inside is ordered as the directory it is listed as; one that leads nowhere as a file."""
    (unit.root / "target").mkdir()
    (unit.root / "link").symlink_to("target")
    (unit.root / "nowhere").symlink_to("missing")
    for name in ("link-", "nowhere-"):
        (unit.root / name).touch()
    assert [item["name"] for item in await items(unit, "path=/&order=key")] == [
        "link-",
        "link",
        "nowhere",
        "nowhere-",
        "target",
    ]


async def test_recursive_listing_is_in_key_order(unit: RunningUnit) -> None:
    """A recursive listing names everything relative to its path, in the order of keys, directories before content."""
    for name in ("top/a/1", "top/a/b/2", "top/a-x", "top/c", "other/x"):
        (unit.root / name).parent.mkdir(parents=True, exist_ok=True)
        (unit.root / name).touch()
    (unit.root / "top/empty").mkdir()
    listed = await items(unit, "path=/top&recursive=true")
    assert [item["name"] for item in listed] == ["a-x", "a", "a/1", "a/b", "a/b/2", "c", "empty"]


async def test_large_listing_comes_in_pieces(unit: RunningUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that takes several pieces is one valid JSON list, also where the last piece is empty."""
    monkeypatch.setattr(files, "_PAGE", 10)
    for count in (0, 9, 10, 11, 20, 35):
        (unit.root / f"{count}").mkdir()
        for number in range(count):
            (unit.root / f"{count}/{number:03}").touch()
        assert len(await items(unit, f"path=/{count}")) == count


async def test_listing_of_what_is_not_there(unit: RunningUnit) -> None:
    """A missing directory, and a file, are 404."""
    (unit.root / "file").touch()
    for path in ("/missing", "/file", "/file/below"):
        assert (await unit.request("GET", f"/storage/items/?path={path}")).status == 404


async def test_volume_prefix_is_the_root(unit: RunningUnit) -> None:
    """`/volume/x` is `/x`; a directory of that name is reached by saying it twice."""
    await unit.put("a", b"1")
    await unit.put("volume/volume/b", b"2")
    assert (await unit.get("volume/a")).content == b"1"
    assert [item["name"] for item in await items(unit, "path=/volume/")] == ["volume", "a"]
    assert [item["name"] for item in await items(unit, "path=volume/volume")] == ["b"]


ODD_NAMES = [
    "two words",
    "a+b",
    "100%",
    "#1?",
    "ünï",
    "日本",
    "🙂",
    "line\nbreak",
    "tab\t",
    '"quoted"',
    "back\\slash",
    "&=;",
]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_go_both_ways(unit: RunningUnit, name: str) -> None:
    """A name that needs encoding is written, listed, read, moved, copied and removed as itself."""
    assert (await unit.put(f"dir/{name}", b"odd")).status == 201
    assert [item["name"] for item in await items(unit, "path=/dir")] == [name]
    assert (await unit.get(f"dir/{name}")).content == b"odd"
    path, other = quote(f"/dir/{name}"), quote(f"/{name}/{name}")
    assert (await unit.request("PUT", f"/storage/transfer/?path={path}&destination={other}")).status == 200
    assert (await unit.request("PUT", f"/storage/rename/?path={other}&destination={path}")).status == 200
    assert tree_of(unit.root) == {"dir": None, f"dir/{name}": b"odd", name: None}
    assert (await unit.request("DELETE", f"/storage/items/?path={path}")).status == 200


async def test_names_that_are_no_utf8_lose_nothing(unit: RunningUnit) -> None:
    """Names of any bytes are listed apart, valid JSON for everybody, and reached by what `raw` says."""
    for name in (b"caf\xe9", b"caf\xe8", b"caf\xff\xfe"):
        (unit.root / os.fsdecode(name)).write_bytes(name)
    listed = await items(unit)
    assert all("\ufffd" in item["name"] and item["name"].encode() for item in listed)
    assert {unquote_to_bytes(item["raw"]) for item in listed} == {b"caf\xe9", b"caf\xe8", b"caf\xff\xfe"}
    for item in listed:
        answer = await unit.request("GET", f"/storage/download/?path={item['raw']}")
        assert answer.content == unquote_to_bytes(item["raw"])
        moved = await unit.request("PUT", f"/storage/rename/?path={item['raw']}&destination=d/{item['raw']}")
        assert moved.tree["raw"] == item["raw"]
    assert len(await items(unit, "path=/d")) == 3


async def test_stat(unit: RunningUnit) -> None:
    """`stat` says of one thing what a listing says, and a file's checksum where it came through us."""
    await unit.put("a/b", b"123456789")
    found = (await unit.request("GET", "/storage/stat/?path=/a/b")).tree
    (listed,) = await items(unit, "path=/a")
    assert found == {**listed, "checksum": "crc32c:4waSgw=="}
    assert (await unit.request("GET", "/storage/stat/?path=/a")).tree["directory"] is True
    assert (await unit.request("GET", "/storage/stat/?path=/")).tree["directory"] is True
    assert (await unit.request("GET", "/storage/stat/?path=/nothing")).status == 404


async def test_a_checksum_of_other_bytes_is_not_told(unit: RunningUnit) -> None:
    """When somebody else changes a file, its old checksum counts no more."""
    await unit.put("a", b"123456789")
    (unit.root / "a").write_bytes(b"987654321")
    assert "checksum" not in (await unit.request("GET", "/storage/stat/?path=/a")).tree
    assert (await unit.get("a")).headers["Repr-Digest"] == f"crc32c=:{encode(crc32c(b'987654321'))}:"


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("dir", "file", 409),
        ("dir", "directory", 200),
        ("name", "directory", 404),
        ("name", "file", 200),
        ("name", "x", 400),
    ],
)
async def test_deletion_of_one_kind(unit: RunningUnit, path: str, kind: str, status: int) -> None:
    """With `kind`, a file is not deleted as a directory, nor a directory as a file."""
    (unit.root / "dir").mkdir()
    (unit.root / "name").write_bytes(b"kept")
    response = await unit.request("DELETE", f"/storage/items/?path=/{path}&kind={kind}")
    assert response.status == status
    assert (unit.root / path).exists() == (status != 200)


async def test_delete_of_what_is_empty_only(unit: RunningUnit) -> None:
    """With `recursive=false` a file or an empty directory goes, and a directory with something in it stays."""
    (unit.root / "dir/inner").mkdir(parents=True)
    (unit.root / "dir/file").touch()
    for path, status in (("dir", 409), ("dir/file", 200), ("dir/inner", 200), ("dir", 200), ("dir", 404)):
        assert (await unit.request("DELETE", f"/storage/items/?path=/{path}&recursive=false")).status == status
    assert tree_of(unit.root) == {}


async def test_delete(unit: RunningUnit) -> None:
    """A file goes; a directory goes with what is in it; what is not there is 404, and the top stays."""
    await unit.put("a/b/c", b"1")
    await unit.put("a/d", b"2")
    assert (await unit.request("DELETE", "/storage/items/?path=/a/d")).status == 200
    assert (await unit.request("DELETE", "/storage/items/?path=/a/")).status == 200
    assert tree_of(unit.root) == {}
    assert (await unit.request("DELETE", "/storage/items/?path=/a")).code == "not_found"
    assert (await unit.request("DELETE", "/storage/items/?path=/")).status == 400
    assert unit.root.exists()


async def test_very_deep_trees(unit: RunningUnit) -> None:
    """A tree deeper than any path is long is listed as far as paths go, and removed whole."""
    top = "/deep" + "/dd" * 1200
    assert (await unit.request("PUT", f"/storage/directory/?path={top}")).status == 200
    (unit.root / "deep").rename(unit.root / "lower")
    assert (await unit.request("PUT", "/storage/directory/?path=/upper" + "/uu" * 200)).status == 200
    lowest = os.open(unit.root / ("upper" + "/uu" * 200), os.O_PATH)
    os.rename(unit.root / "lower", "lower", dst_dir_fd=lowest)
    os.close(lowest)
    listed = (await unit.request("GET", "/storage/items/?path=/&recursive=true")).tree
    assert listed[-1]["unreadable"] == "File name too long"
    assert (await unit.request("DELETE", "/storage/items/?path=/upper")).status == 200
    assert tree_of(unit.root) == {}
    assert unit.work_files() == []


async def test_copy_of_a_file(unit: RunningUnit) -> None:
    """A copy has the bytes, the time and the checksum; directories above it are made, and a file there is replaced."""
    await unit.put("a", b"new", mtime="1700000000.5")
    await unit.put("x/y", b"old")
    answer = await unit.request("PUT", "/storage/transfer/?path=/a&destination=/x/y")
    source = (await unit.request("GET", "/storage/stat/?path=/a")).tree
    assert {**answer.tree, "etag": "", "name": ""} == {**source, "etag": "", "name": ""}
    assert (await unit.request("PUT", "/storage/transfer/?path=/a&destination=/p/q/r")).status == 200
    assert tree_of(unit.root)["p/q/r"] == tree_of(unit.root)["x/y"] == b"new"
    assert unit.work_files() == []


async def test_copy_of_a_directory(unit: RunningUnit) -> None:
    """A directory is copied with all that is in it, into one that is there too."""
    await unit.put("a/b/c", b"1")
    await unit.put("z/kept", b"2")
    (unit.root / "a/empty").mkdir()
    assert (await unit.request("PUT", "/storage/transfer/?path=/a&destination=/z")).tree["directory"] is True
    assert tree_of(unit.root / "z") == {"b": None, "b/c": b"1", "empty": None, "kept": b"2"}


@pytest.mark.parametrize(
    ("path", "destination", "status"),
    [
        ("/a", "/a/b", 409),
        ("/", "/b", 409),
        ("/a/f", "/d", 409),
        ("/a", "/f", 409),
        ("/a/f", "/f/below", 409),
        ("/missing", "/x", 404),
        ("/a/f", "/", 409),
    ],
)
async def test_copies_that_cannot_be(unit: RunningUnit, path: str, destination: str, status: int) -> None:
    """A copy into itself, over a directory, or below a file is refused, and changes nothing."""
    await unit.put("a/f", b"1")
    await unit.put("f", b"2")
    (unit.root / "d").mkdir()
    before = tree_of(unit.root)
    answer = await unit.request("PUT", f"/storage/transfer/?path={path}&destination={destination}")
    assert (answer.status, tree_of(unit.root)) == (status, before)


async def test_copy_of_a_version(unit: RunningUnit) -> None:
    """With If-Match the version is copied that was seen, or none."""
    etag = (await unit.put("a", b"1")).headers["ETag"]
    await unit.put("a", b"2")
    path = "/storage/transfer/?path=/a&destination=/b"
    assert (await unit.request("PUT", path, headers={"If-Match": etag})).code == "precondition_failed"
    now = (await unit.get("a")).headers["ETag"]
    assert (await unit.request("PUT", path, headers={"If-Match": now})).status == 200


async def test_rename(unit: RunningUnit) -> None:
    """A file or directory moves at once, replacing a file, also another link of it; its inode stays."""
    await unit.put("a/b", b"1")
    await unit.put("c", b"2")
    inode = (unit.root / "a/b").stat().st_ino
    answer = await unit.request("PUT", "/storage/rename/?path=/a/b&destination=/c")
    assert (answer.status, answer.tree["name"], (unit.root / "c").stat().st_ino) == (200, "c", inode)
    assert (await unit.request("PUT", "/storage/rename/?path=/a&destination=/new/a")).status == 200
    assert tree_of(unit.root) == {"c": b"1", "new": None, "new/a": None}
    assert (await unit.request("PUT", "/storage/rename/?path=/c&destination=/c")).status == 200
    (unit.root / "link").hardlink_to(unit.root / "c")
    assert (await unit.request("PUT", "/storage/rename/?path=/c&destination=/link")).status == 200
    assert tree_of(unit.root) == {"link": b"1", "new": None, "new/a": None}


@pytest.mark.parametrize(
    ("path", "destination", "status"),
    [
        ("/a", "/a/b", 409),
        ("/a", "/f", 409),
        ("/f", "/a", 409),
        ("/a", "/full", 409),
        ("/f", "/f/below", 409),
        ("/missing", "/deep/x", 404),
        ("/", "/x", 400),
        ("/f", "/", 400),
    ],
)
async def test_renames_that_cannot_be(unit: RunningUnit, path: str, destination: str, status: int) -> None:
    """A move into itself, or over what it cannot replace, is refused, and changes nothing."""
    for name in ("a/x", "full/y", "f"):
        await unit.put(name, b"1")
    before = tree_of(unit.root)
    answer = await unit.request("PUT", f"/storage/rename/?path={path}&destination={destination}")
    assert (answer.status, tree_of(unit.root)) == (status, before)


async def test_make_directory(unit: RunningUnit) -> None:
    """A directory is made with those above it; one that is there is fine, a file in its place is not."""
    for _ in range(2):
        answer = await unit.request("PUT", "/storage/directory/?path=/a/b/c/")
        assert (answer.status, answer.tree["directory"]) == (200, True)
    await unit.put("f", b"1")
    assert (await unit.request("PUT", "/storage/directory/?path=/f")).status == 409
    assert (await unit.request("PUT", "/storage/directory/?path=/f/below")).status == 409


@pytest.mark.parametrize("secret", ["", "wrong", "rw" * 15, "rw" * 17, "RW" * 16])
async def test_no_secret_no_answer(unit: RunningUnit, secret: str) -> None:
    """Without one of the unit's secrets every route is 401, whether it exists or not."""
    for method, path in (
        ("GET", "/storage/items/?path=/"),
        ("HEAD", "/storage/download/?path=/a"),
        ("GET", "/nothing"),
    ):
        assert (await unit.request(method, path, secret=secret)).status == 401
    assert (await unit.request("GET", "/healthz", secret=secret)).status == 200


WRITES = [
    ("DELETE", "/storage/items/?path=/a"),
    ("PUT", "/storage/transfer/?path=/a&destination=/b"),
    ("PUT", "/storage/rename/?path=/a&destination=/b"),
    ("PUT", "/storage/directory/?path=/b"),
    ("POST", "/storage/upload/"),
    ("HEAD", "/storage/upload/x"),
    ("PATCH", "/storage/upload/x"),
    ("DELETE", "/storage/upload/x"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_the_read_secret_only_reads(unit: RunningUnit, method: str, path: str) -> None:
    """RO lists, looks and downloads, and is 403 for whatever changes something."""
    await unit.put("a", b"1")
    ro = unit.secrets.ro
    assert (await unit.request(method, path, secret=ro, headers={"Upload-Length": "0"})).status == 403
    assert tree_of(unit.root) == {"a": b"1"}
    for read in ("/storage/items/?path=/", "/storage/stat/?path=/a", "/storage/download/?path=/a"):
        assert (await unit.request("GET", read, secret=ro)).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/storage/items/", 400),
        ("GET", "/storage/items/?path=/&recursive=perhaps", 400),
        ("GET", "/storage/items/?path=/a&path=/b", 400),
        ("GET", "/storage/items/?" + "&".join(f"a{n}=1" for n in range(20)), 400),
        ("PUT", "/storage/transfer/?path=/a", 400),
        ("GET", "/nothing", 404),
        ("POST", "/storage/items/", 405),
    ],
)
async def test_malformed_requests(unit: RunningUnit, method: str, path: str, status: int) -> None:
    """What cannot be understood is refused as JSON."""
    answer = await unit.request(method, path)
    assert answer.status == status
    assert answer.code


async def test_special_files_are_listed_and_not_touched(unit: RunningUnit) -> None:
    """A pipe, a socket and a device are listed as unreadable; downloading or copying one is refused at once."""
    os.mkfifo(unit.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(unit.root, os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/socket")  # a socket's path is short
        os.close(directory)
        listed = await items(unit)
        assert {item["name"] for item in listed if item["unreadable"] == "not a regular file"} == {"pipe", "socket"}
        for name in ("pipe", "socket"):
            async with asyncio.timeout(2):
                assert (await unit.get(name)).code == "special_file"
                copied = await unit.request("PUT", f"/storage/transfer/?path=/{name}&destination=/b")
                assert copied.code == "special_file"


async def test_a_device_is_not_taken_away(unit: RunningUnit) -> None:
    """Neither a deletion nor a move removes it, also not for root, who could."""
    device = unit.root / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs the right to make a device")
    for method, target in (
        ("DELETE", "/storage/items/?path=/null"),
        ("PUT", "/storage/rename/?path=/null&destination=/b"),
    ):
        assert (await unit.request(method, target)).code == "special_file"
        assert stat.S_ISCHR(device.lstat().st_mode)


async def test_links_inside_are_followed(unit: RunningUnit) -> None:
    """A link that stays inside is what it leads to; a recursive listing does not go through it, and says so."""
    await unit.put("real/file", b"1")
    (unit.root / "link").symlink_to("real")
    (unit.root / "real/up").symlink_to("../real/file")
    assert (await unit.get("link/up")).content == b"1"
    listed = {item["name"]: item for item in await items(unit, "path=/&recursive=true")}
    assert listed["link"]["directory"] is True
    assert "not followed" in listed["link"]["unreadable"]
    assert listed["real/up"]["size"] == 1
    assert (await unit.request("DELETE", "/storage/items/?path=/link")).status == 200
    assert (unit.root / "real/file").exists()


async def test_request_ids(unit: RunningUnit) -> None:
    """Every answer has a request id: the one that was sent, when it is a plain word."""
    assert (await unit.request("GET", "/healthz", headers={"X-Request-ID": "abc-1"})).headers["X-Request-ID"] == "abc-1"
    odd = await unit.request("GET", "/nothing", headers={"X-Request-ID": "a b;c"})
    assert odd.headers["X-Request-ID"] not in ("", "a b;c")
