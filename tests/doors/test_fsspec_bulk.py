"""Calls of the file system for many files: one transfer, with the rules of fsspec."""

from __future__ import annotations

import io
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AlreadyExistsError, NotFoundError, UnsafePathError, UnsupportedError
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server

pytest.importorskip("fsspec", reason="the file system is fsspec's")

from fsspec.callbacks import Callback

from dxflow_async.doors.fsspec import DxflowFileSystem

pytestmark = pytest.mark.server

NAMES = [f"{number:03}" for number in range(40)]


class Bars(Callback):  # type: ignore[misc]
    """A callback with one for each file."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, Callback] = {}

    def branched(self, path_1: str, path_2: str, **_: Any) -> Callback:
        self.files[path_1] = Callback()
        return self.files[path_1]


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    """A server that counts requests."""
    async with S3Server(min_part_size=1 << 20) as server:
        yield server


@pytest.fixture
async def filesystem(server: S3Server, tmp_path: Path) -> AsyncIterator[DxflowFileSystem]:
    """The file system there, with a directory of files and one directory below it."""
    async with open_session(server, tmp_path / "home") as session:
        filesystem = DxflowFileSystem(session=session, asynchronous=True)
        await filesystem._pipe({f"aws/bucket/d/{name}": name.encode() for name in NAMES})
        await filesystem._pipe_file("aws/bucket/d/sub/x", b"x")
        server.requests.clear()
        yield filesystem


def operations(server: S3Server) -> dict[str, int]:
    """The number of requests of each kind, and forgets them."""
    counted: dict[str, int] = {}
    for request in server.requests:
        counted[request.operation] = counted.get(request.operation, 0) + 1
    server.requests.clear()
    return counted


async def test_one_request_for_each_file(filesystem: DxflowFileSystem, server: S3Server, tmp_path: Path) -> None:
    """Directories, patterns and lists cost a listing and a request for each file, and no look at each."""
    files = len(NAMES) + 1
    await filesystem._get("aws/bucket/d", str(tmp_path / "tree"), recursive=True)
    counted = operations(server)
    assert counted.pop("GetObject") == files
    assert sum(counted.values()) <= 8, counted
    assert (tmp_path / "tree/sub/x").read_bytes() == b"x"
    await filesystem._get("aws/bucket/d/0*", f"{tmp_path}/some/")
    counted = operations(server)
    assert counted.pop("GetObject") == len(NAMES)
    assert sum(counted.values()) <= 8, counted
    await filesystem._get([f"aws/bucket/d/{name}" for name in NAMES], [str(tmp_path / "list" / n) for n in NAMES])
    assert operations(server) == {"GetObject": len(NAMES)}
    for directory in ("some", "list"):
        assert {each.name: each.read_text() for each in (tmp_path / directory).iterdir()} == {n: n for n in NAMES}
    await filesystem._put(str(tmp_path / "tree"), "aws/bucket/put", recursive=True)
    counted = operations(server)
    assert counted.pop("PutObject") == files
    assert sum(counted.values()) <= 8, counted
    await filesystem._copy("aws/bucket/put", "aws/bucket/copied", recursive=True)
    counted = operations(server)
    assert counted.pop("CopyObject") == files
    assert counted.pop("HeadObject", 0) <= files + 4
    assert sum(counted.values()) <= 8, counted
    assert await filesystem._cat_file("aws/bucket/copied/sub/x") == b"x"
    server.requests.clear()
    await filesystem._rm([f"aws/bucket/copied/{name}" for name in NAMES])
    counted = operations(server)
    assert counted == {"HeadObject": len(NAMES), "DeleteObjects": 1}
    assert await filesystem._find("aws/bucket/copied") == ["aws/bucket/copied/sub/x"]


async def test_ranges_close_to_each_other(filesystem: DxflowFileSystem, server: S3Server) -> None:
    """Ranges of a file with small gaps cost one request, and are what slices are; others are read alone."""
    data = random.Random(1).randbytes(12 << 20)
    await filesystem._pipe_file("aws/bucket/x", data)
    server.requests.clear()
    starts = [3 << 20, 100, 0, 50, 100, 9 << 20, 200_000]
    ends = [(3 << 20) + 5, 300, 10, 60, 200, 13 << 20, 200_001]
    read = await filesystem._cat_ranges(["aws/bucket/x"] * 7, starts, ends)
    assert read == [data[start:end] for start, end in zip(starts, ends, strict=True)]
    assert operations(server) == {"GetObject": 3}
    for gap, requests in ((0, 2), (9, 2), (10, 1)):
        await filesystem._cat_ranges(["aws/bucket/x"] * 3, [0, 5, 20], [6, 10, 30], max_gap=gap)
        assert operations(server) == {"GetObject": requests}
    starts = [number << 18 for number in range(8)]
    await filesystem._cat_ranges(["aws/bucket/x"] * 8, starts, [start + (1 << 18) for start in starts])
    assert operations(server) == {"GetObject": 2}
    chance = random.Random(2)
    for size in (10, 5000, 1 << 20, 5 << 20):
        starts = [chance.randrange(13 << 20) for _ in range(40)]
        ends = [start + chance.randrange(size) for start in starts]
        read = await filesystem._cat_ranges(["aws/bucket/x"] * 40, starts, ends)
        assert read == [data[start:end] for start, end in zip(starts, ends, strict=True)]
    paths = ["aws/bucket/none", "aws/bucket/x", "aws/bucket/none"]
    failed, found, too = await filesystem._cat_ranges(paths, 0, [1, 2, 3])
    assert isinstance(failed, NotFoundError)
    assert failed is too
    assert found == data[:2]


async def test_one_job(filesystem: DxflowFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call begins one job, however many files it moves."""
    begun: list[str] = []
    resources = filesystem._sessions.get()._resources
    begin = type(resources).begin

    def count(self: Any, spec: Any, *arguments: Any, **more: Any) -> Any:
        begun.append(spec.operation)
        return begin(self, spec, *arguments, **more)

    monkeypatch.setattr(type(resources), "begin", count)
    await filesystem._get("aws/bucket/d", str(tmp_path / "got"), recursive=True)
    await filesystem._put(str(tmp_path / "got"), "aws/bucket/put", recursive=True)
    await filesystem._copy("aws/bucket/put", "aws/bucket/copied", recursive=True)
    assert begun == ["download_many", "upload_many", "copy"]


async def test_callbacks(filesystem: DxflowFileSystem, tmp_path: Path) -> None:
    """A callback counts each file once, also those that fail; one with bars of its own gets the bytes of each file."""
    values: list[int] = []
    callback = Callback(hooks={"note": lambda size, value, **_: values.append(value)})
    await filesystem._get("aws/bucket/d", str(tmp_path / "got"), recursive=True, callback=callback)
    files = callback.size
    assert values == list(range(files + 1))
    assert files >= len(NAMES) + 1
    counting = Callback()
    await filesystem._put(str(tmp_path / "got"), "aws/bucket/put", recursive=True, callback=counting)
    assert (counting.size, counting.value) == (len(NAMES) + 1, len(NAMES) + 1)
    failing = Callback()
    with pytest.raises(FileNotFoundError):
        await filesystem._get(
            ["aws/bucket/d/000", "aws/bucket/none"], [str(tmp_path / "a"), str(tmp_path / "b")], callback=failing
        )
    assert (failing.size, failing.value) == (2, 2)
    bars = Bars()
    await filesystem._get([f"aws/bucket/d/{n}" for n in NAMES], [str(tmp_path / n) for n in NAMES], callback=bars)
    assert (bars.size, bars.value) == (len(NAMES), len(NAMES))
    assert {path.rpartition("/")[2]: bar.value for path, bar in bars.files.items()} == dict.fromkeys(NAMES, 3)


async def test_errors(filesystem: DxflowFileSystem, tmp_path: Path) -> None:
    """The first error is that of its file, and the other files arrive; what is missing is ignored on demand."""
    with pytest.raises(NotFoundError, match="none") as raised:
        await filesystem._get(
            ["aws/bucket/none", "aws/bucket/d/000", "aws/bucket/nor"],
            [str(tmp_path / name) for name in ("a", "b", "c")],
        )
    assert raised.value.__notes__ == ["2 files failed; this is the first of them"]
    assert sorted(os.listdir(tmp_path)) == ["b", "home"]
    pair = ["aws/bucket/none", "aws/bucket/d/001"], ["aws/bucket/x", "aws/bucket/y"]
    with pytest.raises(FileNotFoundError):
        await filesystem._copy(*pair)
    await filesystem._copy(*pair, on_error="ignore")
    assert await filesystem._cat_file("aws/bucket/y") == b"001"
    with pytest.raises(AlreadyExistsError):
        await filesystem._put([str(tmp_path / "b")] * 2, ["aws/bucket/y", "aws/bucket/new"], mode="create")
    assert await filesystem._cat(["aws/bucket/y", "aws/bucket/new"]) == {
        "aws/bucket/y": b"001",
        "aws/bucket/new": b"000",
    }
    with pytest.raises(UnsupportedError, match="if_match"):
        await filesystem._put([str(tmp_path / "b")], ["aws/bucket/y"], if_match="etag")
    with pytest.raises(FileNotFoundError):
        await filesystem._rm(["aws/bucket/y", "aws/bucket/none"])
    assert await filesystem._exists("aws/bucket/y")


async def test_several_places_and_directories(filesystem: DxflowFileSystem, tmp_path: Path) -> None:
    """One call may name several remotes; directories in lists are made, and a depth is kept."""
    (tmp_path / "here").write_bytes(b"here")
    local = f"local{tmp_path}"
    sources = ["aws/bucket/d/000", f"{local}/here", "aws/bucket/d/sub"]
    await filesystem._get(sources, [str(tmp_path / "got" / name) for name in ("cloud", "disk", "sub")])
    assert sorted(os.listdir(tmp_path / "got")) == ["cloud", "disk", "sub"]
    assert (tmp_path / "got/disk").read_bytes() == b"here"
    assert (tmp_path / "got/sub").is_dir()
    await filesystem._copy(sources[:2], [f"{local}/from-cloud", "aws/bucket/from-disk"])
    assert (tmp_path / "from-cloud").read_bytes() == b"000"
    assert await filesystem._cat_file("aws/bucket/from-disk") == b"here"
    await filesystem._get("aws/bucket/d", str(tmp_path / "flat"), recursive=True, maxdepth=1)
    assert sorted(each.name for each in (tmp_path / "flat").iterdir() if each.is_file()) == NAMES
    assert not (tmp_path / "flat/sub/x").exists()


async def test_stored_options(filesystem: DxflowFileSystem, server: S3Server, tmp_path: Path) -> None:
    """What a call of many files stores with them reaches each of them."""
    for name in ("a", "b"):
        (tmp_path / "tree" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(b"x")
    await filesystem._put(str(tmp_path / "tree"), "aws/bucket/put", recursive=True, cache_control="max-age=60")
    sent = [request for request in server.requests if request.operation == "PutObject"]
    assert [request.headers["cache-control"] for request in sent] == ["max-age=60"] * 2


async def test_names_with_empty_segments(filesystem: DxflowFileSystem, tmp_path: Path) -> None:
    """A key with two slashes in a row is found by the name that a listing gave it."""
    await filesystem._pipe_file("aws/bucket/odd//x", b"two")
    await filesystem._pipe_file("aws/bucket/odd/x", b"one")
    found = await filesystem._find("aws/bucket/odd")
    assert {name: await filesystem._cat_file(name) for name in found} == {
        "aws/bucket/odd//x": b"two",
        "aws/bucket/odd/x": b"one",
    }
    await filesystem._get("aws/bucket/odd//x", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b"two"


async def test_keys_that_are_prefixes(filesystem: DxflowFileSystem, server: S3Server, tmp_path: Path) -> None:
    """A key that others begin with is a file in patterns, and is deleted alone, or with what lies below it."""

    async def again() -> None:
        await filesystem._pipe({f"aws/bucket/k/{name}": b"x" for name in ("a", "a/b", "a/c/d", "ab", "z")})

    for path in ("aws/bucket/k/a", "aws/bucket/k/a*"):
        await again()
        await filesystem._rm("aws/bucket/k/a", recursive=False)
        assert await filesystem._exists("aws/bucket/k/a/b")
        await again()
        await filesystem._rm(path, recursive=True)
        assert set(await filesystem._find("aws/bucket/k")) - {"aws/bucket/k/ab"} == {"aws/bucket/k/z"}
    await again()
    await filesystem._get("aws/bucket/k/*", f"{tmp_path}/got/")
    assert sorted(os.listdir(tmp_path / "got")) == ["a", "ab", "z"]
    server.requests.clear()
    await filesystem._rm("aws/bucket/d/0*", recursive=True)
    assert operations(server)["DeleteObjects"] == 1
    assert await filesystem._find("aws/bucket/d") == ["aws/bucket/d/sub/x"]


async def test_downloads_into_open_files(filesystem: DxflowFileSystem) -> None:
    """A callback follows the bytes that are written into an open file."""
    data, callback, file = os.urandom(3 << 20), Callback(), io.BytesIO()
    await filesystem._pipe_file("aws/bucket/x", data)
    await filesystem._get_file("aws/bucket/x", file, callback=callback)
    assert file.getvalue() == data
    assert (callback.size, callback.value) == (len(data), len(data))


@pytest.mark.parametrize("callback", [None, Bars()], ids=["one transfer", "bars"])
async def test_sources_with_one_target(
    filesystem: DxflowFileSystem, server: S3Server, tmp_path: Path, callback: Callback | None
) -> None:
    """Two sources with one target are refused by each verb, and nothing is overwritten; a repeated source is not."""
    options = {} if callback is None else {"callback": callback}
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
        await filesystem._pipe_file(f"aws/bucket/{name}/x", name.encode())
    remote, local = ["aws/bucket/a/x", "aws/bucket/b/x"], [f"{tmp_path}/a/x", f"{tmp_path}/b/x"]
    with pytest.raises(UnsafePathError, match=r"a/x and .*b/x have the same target"):
        await filesystem._get(remote, f"{tmp_path}/got/", **options)
    with pytest.raises(UnsafePathError, match=r"a/x and .*b/x have the same target"):
        await filesystem._put(local, "aws/bucket/put/", **options)
    with pytest.raises(UnsafePathError, match=r"a/x and .*b/x have the same target"):
        await filesystem._copy(remote, "aws/bucket/copied/")
    if callback is None:
        assert not (tmp_path / "got/x").exists()
        assert not {"put/x", "copied/x"} & set(server.objects())
    await filesystem._get(remote[:1] * 2, f"{tmp_path}/twice/", **options)
    await filesystem._put(local[:1] * 2, "aws/bucket/twice/", **options)
    assert (tmp_path / "twice/x").read_text() == "a"
    assert server.objects()["twice/x"] == b"a"
    (tmp_path / "c/x").mkdir(parents=True)
    (tmp_path / "d/x").mkdir(parents=True)
    for name in "cd":
        (tmp_path / name / "x" / name).write_text(name)
    await filesystem._put([f"{tmp_path}/c/x", f"{tmp_path}/d/x"], "aws/bucket/merged/", recursive=True, **options)
    assert {each for each in server.objects() if each.startswith("merged/")} == {"merged/c", "merged/d"}
