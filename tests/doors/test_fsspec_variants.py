"""Calls of fsspec in their less usual forms, at every kind of storage."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import time
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import ConfigurationError, Session, UnsafePathError, UnsupportedError

pytest.importorskip("fsspec", reason="the file system is fsspec's")

import fsspec

from dxflow_async.doors.fsspec import DxflowFileSystem
from tests.servers import MotoServer

pytestmark = pytest.mark.server

LARGE = os.urandom(1 << 20) * 20
"""More than one part."""


@pytest.fixture
def fs(options: dict[str, Any]) -> DxflowFileSystem:
    """The file system."""
    return DxflowFileSystem(**options)


@pytest.fixture
def top(remote: str, tops: Callable[[str], str]) -> str:
    """A directory of the test's own."""
    return tops(remote)


def content(fs: Any, top: str) -> dict[str, bytes]:
    """All files below a directory, by their names there."""
    return {name[len(top) + 1 :]: fs.cat_file(name) for name in fs.find(top)}


def test_modes(fs: DxflowFileSystem, top: str) -> None:
    """Text keeps its encoding and line ends; what storage cannot do is refused, and changes nothing."""
    with fs.open(f"{top}/t", "w", encoding="utf-16", newline="\r\n") as file:
        file.write("ä\nb\n")
    assert fs.cat_file(f"{top}/t").decode("utf-16") == "ä\r\nb\r\n"
    with fs.open(f"{top}/t", "rt", encoding="utf-16") as file:
        assert file.readlines() == ["ä\n", "b\n"]
    fs.write_text(f"{top}/u", "é", encoding="latin-1")
    assert fs.read_text(f"{top}/u", encoding="latin-1") == "é"
    with pytest.raises(FileExistsError):
        fs.open(f"{top}/u", "x")
    with fs.open(f"{top}/new", "xt", encoding="utf-8") as file:
        file.write("new")
    for mode in ("ab", "a", "r+b", "w+b", "r+"):
        with pytest.raises(ValueError, match="mode"):
            fs.open(f"{top}/u", mode)
    assert content(fs, top)["u"] == b"\xe9"
    assert content(fs, top)["new"] == b"new"


@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz", "zip"])
def test_compressed_files(fs: DxflowFileSystem, top: str, compression: str) -> None:
    """Closing a compressed file, binary or text, stores all of it."""
    file = fs.open(f"{top}/x", "wb", compression=compression)
    file.write(b"some" * 100_000)
    file.close()
    assert fs.open(f"{top}/x", compression=compression).read() == b"some" * 100_000
    with fs.open(f"{top}/t", "w", compression=compression, encoding="utf-8") as text:
        text.write("täxt")
    assert fs.read_text(f"{top}/t", compression=compression, encoding="utf-8") == "täxt"


def test_inferred_compression(fs: DxflowFileSystem, top: str) -> None:
    """The name decides on the compression on demand."""
    with fs.open(f"{top}/x.gz", "wb", compression="infer") as file:
        file.write(b"x")
    assert gzip.decompress(fs.cat_file(f"{top}/x.gz")) == b"x"


WAYS: list[Callable[[DxflowFileSystem, str, str, dict[str, Any]], Any]] = [
    lambda fs, path, mode, _: fs.open(path, mode),
    lambda _, path, mode, options: fsspec.open(f"dxflow://{path}", mode, **options),
    lambda fs, path, mode, _: fs.open(path, mode, compression="gzip"),
    lambda _, path, mode, options: fsspec.open(f"dxflow://{path}", mode, compression="gzip", **options),
]


@pytest.mark.parametrize("mode", ["wb", "w"])
@pytest.mark.parametrize("way", WAYS, ids=["fs", "url", "fs gzip", "url gzip"])
def test_a_block_that_raises(
    fs: DxflowFileSystem,
    top: str,
    options: dict[str, Any],
    way: Callable[..., Any],
    mode: str,
    remote: str,
    request: pytest.FixtureRequest,
) -> None:
    """An exception in the `with` block of a file stores nothing, and keeps what was there."""
    fs.pipe_file(f"{top}/x", b"old")
    data: Any = LARGE if mode == "wb" and way in WAYS[:2] else b"binary" if mode == "wb" else "text"

    def write(name: str) -> None:
        with way(fs, f"{top}/{name}", mode, options) as file:
            file.write(data)
            raise ZeroDivisionError

    for name in ("x", "y"):
        with pytest.raises(ZeroDivisionError):
            write(name)
    assert content(fs, top) == {"x": b"old"}
    if remote == "aws":
        moto: MotoServer = request.getfixturevalue("moto")
        assert "Uploads" not in moto.client.list_multipart_uploads(Bucket=top.split("/")[1])


def test_files_closed_while_an_exception_is_handled(fs: DxflowFileSystem, top: str, options: dict[str, Any]) -> None:
    """Only the block of the file itself decides: a file that is closed in an `except` clause is stored."""
    opened = fsspec.open(f"dxflow://{top}/x", "wb", **options)
    file = opened.open()
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        file.write(b"x")
        opened.close()
        with fsspec.open(f"dxflow://{top}/y", "wb", **options) as other:
            other.write(b"y")
    assert content(fs, top) == {"x": b"x", "y": b"y"}


def test_transactions(fs: DxflowFileSystem, top: str) -> None:
    """Files of a transaction are stored whole, also text, compressed ones, and ones that are still open."""
    with fs.transaction:
        left = fs.open(f"{top}/open", "wb")
        left.write(b"open")
        with fs.open(f"{top}/text", "w") as text:
            text.write("text")
        open_text = fs.open(f"{top}/open text", "w")
        open_text.write("open text")
        packed = fs.open(f"{top}/gz", "wb", compression="gzip")
        packed.write(b"gz")
        assert fs.find(top) == []
    found = content(fs, top)
    assert gzip.decompress(found.pop("gz")) == b"gz"
    assert found == {"open": b"open", "text": b"text", "open text": b"open text"}


def test_several_files(top: str, options: dict[str, Any]) -> None:
    """`open_files` writes and reads several."""
    with fsspec.open_files(f"dxflow://{top}/part-*.csv", "wt", num=3, **options) as files:
        for number, file in enumerate(files):
            file.write(str(number))
    with fsspec.open_files(f"dxflow://{top}/part-*.csv", "rt", **options) as files:
        assert [file.read() for file in files] == ["0", "1", "2"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the block cache leaves its file open
def test_chained_urls(fs: DxflowFileSystem, top: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Caches and archives above the file system read, and write where they can."""
    fs.pipe_file(f"{top}/x", b"0123456789" * 1000)
    chained = {"dxflow": options}
    for protocol in ("simplecache", "filecache", "blockcache"):
        cache = {protocol: {"cache_storage": str(tmp_path / protocol)}}
        with fsspec.open(f"{protocol}::dxflow://{top}/x", "rb", **cache, **chained) as file:
            file.seek(5000)
            assert file.read(3) == b"012"
    with fsspec.open(f"simplecache::dxflow://{top}/w", "wb", **chained) as file:
        file.write(b"written")
    assert fs.cat_file(f"{top}/w") == b"written"
    with fsspec.open_files([f"simplecache::dxflow://{top}/{name}" for name in "xw"], "rb", **chained) as files:
        assert [len(file.read()) for file in files] == [10_000, 7]
    with fsspec.open(f"zip://a/b.txt::dxflow://{top}/a.zip", "wb", zip={"mode": "w"}, **chained) as file:
        file.write(b"zipped")
    assert zipfile.ZipFile(io.BytesIO(fs.cat_file(f"{top}/a.zip"))).read("a/b.txt") == b"zipped"
    with fsspec.open(f"zip://a/*.txt::dxflow://{top}/a.zip", "rb", expand=True, **chained) as file:
        assert file.read() == b"zipped"


def test_tar_and_references(fs: DxflowFileSystem, top: str, options: dict[str, Any]) -> None:
    """Members of a tar file, and ranges that references name, are read."""
    import tarfile

    with fs.open(f"{top}/a.tar.gz", "wb") as file, tarfile.open(fileobj=file, mode="w|gz") as archive:
        member = tarfile.TarInfo("x.txt")
        member.size = 6
        archive.addfile(member, io.BytesIO(b"member"))
    with fsspec.open(f"tar://x.txt::dxflow://{top}/a.tar.gz", "rb", dxflow=options) as file:
        assert file.read() == b"member"
    fs.pipe_file(f"{top}/x", b"0123456789")
    url = f"dxflow://{top}/x"
    references = {"a": [url, 2, 3], "b": [url, 5, 2], "c": [url], "d": "inline"}
    for more in ({}, {"asynchronous": False}):
        reading = fsspec.filesystem(
            "reference", fo=references, remote_protocol="dxflow", remote_options=options, **more
        )
        assert reading.cat(["a", "b", "c", "d"]) == {
            "a": b"234",
            "b": b"56",
            "c": b"0123456789",
            "d": b"inline",
        }


def test_looking(fs: DxflowFileSystem, top: str) -> None:
    """Sizes, listings and walks agree with each other, and writes show at once."""
    files = {"a": b"1", "ab/x": b"22", "ab/c/y": b"333", "b/z": b""}
    assert not fs.exists(f"{top}/a")
    fs.pipe({f"{top}/{name}": data for name, data in files.items()})
    fs.invalidate_cache()
    assert fs.du(top) == 6
    assert fs.du(top, total=False) == {f"{top}/{name}": len(data) for name, data in files.items()}
    assert fs.du(f"{top}/a", maxdepth=1) == 1
    assert fs.du(top, maxdepth=2) == 3
    assert fs.find(f"{top}/a") == [f"{top}/a"]
    assert fs.find(f"{top}/a", maxdepth=1, detail=True)[f"{top}/a"]["size"] == 1
    walked = [(path[len(top) :], sorted(dirs), sorted(names)) for path, dirs, names in fs.walk(top)]
    assert walked == [("", ["ab", "b"], ["a"]), ("/ab", ["c"], ["x"]), ("/ab/c", [], ["y"]), ("/b", [], ["z"])]
    assert sorted(each["name"] for each in fs.ls(top)) == [f"{top}/{name}" for name in ("a", "ab", "b")]
    assert fs.ls(f"{top}/a", detail=False) == [f"{top}/a"]
    assert fs.glob(f"{top}/*") == [f"{top}/{name}" for name in ("a", "ab", "b")]
    assert fs.glob(f"{top}/**/y") == [f"{top}/ab/c/y"]
    assert fs.glob(f"{top}/*/") == [f"{top}/ab", f"{top}/b"]
    assert fs.glob(f"{top}/a*/*", detail=True)[f"{top}/ab/x"]["size"] == 2
    assert fs.glob(f"{top}/none*") == []
    assert fs.exists(top.rpartition("/")[0])
    for place in ("", "/", "dxflow://", top.partition("/")[0]):
        assert fs.isdir(place), place
    assert fs.sizes([f"{top}/a", f"{top}/ab/x"]) == [1, 2]
    assert fs.isdir(f"{top}/ab/")
    assert not fs.isfile(f"{top}/ab")
    before = fs.ukey(f"{top}/a"), fs.checksum(f"{top}/a")
    assert before == (fs.ukey(f"{top}/a"), fs.checksum(f"{top}/a"))
    fs.pipe_file(f"{top}/a", b"4444")
    assert fs.size(f"{top}/a") == 4
    assert fs.ukey(f"{top}/a") != before[0]
    assert fs.checksum(f"{top}/a") != before[1]


def test_reading_many(fs: DxflowFileSystem, top: str) -> None:
    """Ranges and directories are read at once; an error takes the place of its range on demand."""
    fs.pipe({f"{top}/a": b"0123456789", f"{top}/d/x": b"x", f"{top}/d/e/y": b"y"})
    got = fs.cat_ranges([f"{top}/a", f"{top}/none", f"{top}/a"], [-3, 0, 2], [None, 1, -2], on_error="return")
    assert (got[0], got[2]) == (b"789", b"234567")
    assert isinstance(got[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([f"{top}/a", f"{top}/none"], 0, 1, on_error="raise")
    assert fs.cat_ranges([f"{top}/a"] * 300, list(range(10)) * 30, None, batch_size=7)[11] == b"123456789"
    with pytest.raises(ValueError, match="2 starts"):
        fs.cat_ranges([f"{top}/a"], [1, 2], [3])
    assert fs.cat(f"{top}/d", recursive=True) == {f"{top}/d/x": b"x", f"{top}/d/e/y": b"y"}
    assert fs.cat(f"{top}/d/*", on_error="omit") == {f"{top}/d/x": b"x"}
    assert fs.cat([f"{top}/a", f"{top}/none"], on_error="omit") == {f"{top}/a": b"0123456789"}
    assert fs.cat(f"{top}/a") == b"0123456789"
    fs.pipe_file(f"{top}/lines", b"one\ntwo\nthree\n")
    assert fs.read_block(f"{top}/lines", 1, 4, b"\n") == b"two\n"
    assert fs.read_block(f"{top}/lines", 5, None, b"\n") == b"three\n"
    assert (fs.head(f"{top}/a", 3), fs.tail(f"{top}/a", 3)) == (b"012", b"789")


def test_touch(fs: DxflowFileSystem, top: str) -> None:
    """A new file is empty; one that exists is kept unless it is to be truncated."""
    fs.touch(f"{top}/x", truncate=False)
    assert fs.cat_file(f"{top}/x") == b""
    fs.pipe_file(f"{top}/x", b"kept")
    with pytest.raises(NotImplementedError):
        fs.touch(f"{top}/x", truncate=False)
    assert fs.cat_file(f"{top}/x") == b"kept"
    fs.touch(f"{top}/x")
    assert fs.cat_file(f"{top}/x") == b""


def test_trees(fs: DxflowFileSystem, top: str) -> None:
    """Trees are copied, moved and deleted with the rules of fsspec for slashes."""
    tree = {"x": b"x", "s/y": b"y"}
    fs.pipe({f"{top}/d/{name}": data for name, data in tree.items()})
    fs.cp(f"{top}/d", f"{top}/new", recursive=True)
    fs.cp(f"{top}/d", f"{top}/into/", recursive=True)
    fs.cp(f"{top}/d/", f"{top}/content/", recursive=True)
    found = content(fs, top)
    for name, data in tree.items():
        assert found[f"new/{name}"] == found[f"into/d/{name}"] == found[f"content/{name}"] == data
    fs.rm([f"{top}/into", f"{top}/content/"], recursive=True)
    fs.mv(f"{top}/new", f"{top}/moved", recursive=True)
    assert set(content(fs, top)) == {"d/x", "d/s/y", "moved/x", "moved/s/y"}
    assert not fs.exists(f"{top}/new")
    fs.mv(f"{top}/moved/x", f"{top}/moved/z")
    fs.mv(f"{top}/moved/z", f"{top}/d/")
    fs.mv(f"{top}/moved/s/*", f"{top}/d/t/")
    assert content(fs, top) == {"d/x": b"x", "d/s/y": b"y", "d/z": b"x", "d/t/y": b"y"}
    fs.rm(f"{top}/d", recursive=True)
    assert not fs.exists(f"{top}/d/x")


def test_directories_leave_no_jobs(fs: DxflowFileSystem, top: str, options: dict[str, Any], tmp_path: Path) -> None:
    """The directories of a tree are not taken for files that failed: no job is left to be resumed."""
    fs.pipe({f"{top}/d/x": b"x", f"{top}/d/s/y": b"y"})
    fs.get(f"{top}/d", f"{tmp_path}/got", recursive=True)
    fs.get(f"{top}/d/*", f"{tmp_path}/some/", recursive=True)
    fs.put(f"{tmp_path}/got", f"{top}/put", recursive=True)
    fs.cp(f"{top}/d", f"{top}/copied", recursive=True)
    fs.mv(f"{top}/copied", f"{top}/moved", recursive=True)
    for directory in ("got", "some"):
        assert (tmp_path / directory / "s/y").read_bytes() == b"y"
    assert set(content(fs, top)) == {f"{name}/{file}" for name in ("d", "put", "moved") for file in ("x", "s/y")}
    with Session(**options, progress=False) as session:
        assert session.jobs() == []


def test_moves_lose_nothing(fs: DxflowFileSystem, top: str) -> None:
    """A move to itself, into itself, of a directory without `recursive`, or of a missing file deletes nothing."""
    tree = {"d/x": b"x", "d/s/y": b"y"}
    fs.pipe({f"{top}/{name}": data for name, data in tree.items()})
    calls: list[tuple[type[Exception], Callable[[], object]]] = [
        (UnsafePathError, lambda: fs.mv(f"{top}/d/x", f"{top}/d/")),
        (UnsafePathError, lambda: fs.mv(f"{top}/d/x", f"dxflow://{top}/d/x")),
        (UnsafePathError, lambda: fs.mv(f"{top}/d", f"{top}/d/s", recursive=True)),
        (UnsafePathError, lambda: fs.mv(f"{top}/d", f"{top}/d/new", recursive=True)),
        (IsADirectoryError, lambda: fs.mv(f"{top}/d", f"{top}/e")),
    ]
    for kind, call in calls:
        with pytest.raises(kind):
            call()
        assert content(fs, top) == tree
    with pytest.raises(FileNotFoundError):
        fs.mv([f"{top}/d/x", f"{top}/none"], [f"{top}/e/x", f"{top}/e/y"])
    assert content(fs, top) == {**tree, "e/x": b"x"}


def test_moves_to_a_depth(fs: DxflowFileSystem, top: str) -> None:
    """What lies deeper than a move or a deletion goes stays."""
    fs.pipe({f"{top}/d/w": b"w", f"{top}/d/x": b"x", f"{top}/d/s/y": b"y"})
    fs.mv(f"{top}/d", f"{top}/e", recursive=True, maxdepth=1)
    assert content(fs, top) == {"e/w": b"w", "e/x": b"x", "d/s/y": b"y"}
    with contextlib.suppress(OSError):  # a directory that is not empty
        fs.rm(f"{top}/d", recursive=True, maxdepth=1)
    assert content(fs, top) == {"e/w": b"w", "e/x": b"x", "d/s/y": b"y"}


def test_names(fs: DxflowFileSystem, top: str, options: dict[str, Any]) -> None:
    """Odd names survive URLs."""
    names = ["a b", "50%", "50%25", "h#x", "q?x", "ünï", "日本", "a+b", "a&b=c", "x[1]", "{a}"]
    for name in names:
        with fsspec.open(f"dxflow://{top}/{name}", "wb", **options) as file:
            file.write(name.encode())
    for name in names:
        with fsspec.open(f"dxflow://{top}/{name}", "rb", **options) as file:
            assert file.read() == name.encode()
    assert set(content(fs, top)) == set(names)


@pytest.mark.parametrize("name", ["x[1]", "q?x", "*"])
def test_sources_that_look_like_patterns(fs: DxflowFileSystem, top: str, name: str, tmp_path: Path) -> None:
    """A source that exists as it is written is moved as others are, and nothing that it would match is."""
    fs.pipe({f"{top}/{name}": b"named", f"{top}/x1": b"other", f"{top}/d/{name}/s/y": b"y"})
    fs.cp(f"{top}/{name}", f"{top}/copy")
    fs.mv(f"{top}/copy", f"{top}/d/{name}")
    assert fs.cat_file(f"{top}/d/{name}/copy") == b"named"
    fs.get(f"{top}/{name}", f"{tmp_path}/one")
    fs.get(f"{top}/d/{name}", f"{tmp_path}/tree", recursive=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "tree/copy").read_bytes() == b"named"
    assert (tmp_path / "tree/s/y").read_bytes() == b"y"
    (tmp_path / "one").rename(tmp_path / name)
    (tmp_path / "x1").write_bytes(b"other")
    fs.put(f"{tmp_path}/{name}", f"{top}/put")
    (tmp_path / "tree").rename(tmp_path / f"d{name}")
    fs.put(f"{tmp_path}/d{name}", f"{top}/sent", recursive=True)
    fs.mv(f"{top}/d/{name}", f"{top}/moved", recursive=True)
    found = content(fs, top)
    assert found.pop("put") == found.pop(name) == b"named"
    for directory in ("sent", "moved"):
        assert (found.pop(f"{directory}/copy"), found.pop(f"{directory}/s/y")) == (b"named", b"y")
    assert found == {"x1": b"other"}


def test_mappers(fs: DxflowFileSystem, top: str) -> None:
    """A mapping of fsspec has files as its values."""
    values = fs.get_mapper(f"{top}/m")
    values["a"] = b"1"
    values["b/c"] = b"2"
    assert dict(values) == {"a": b"1", "b/c": b"2"}
    assert values.getitems(["a", "none"], on_error="omit") == {"a": b"1"}
    values.setitems({"d": b"3"})
    assert "d" in values
    assert "b" not in values
    del values["a"]
    values.delitems(["d"])
    assert list(values) == ["b/c"]
    values.clear()
    assert list(values) == []


def test_rsync(fs: DxflowFileSystem, top: str, options: dict[str, Any], tmp_path: Path) -> None:
    """The sync of fsspec between file systems makes a tree here."""
    from fsspec.generic import rsync

    (tmp_path / "src/s").mkdir(parents=True)
    (tmp_path / "src/x").write_bytes(b"x")
    (tmp_path / "src/s/y").write_bytes(b"y")
    inst = {"storage_options": {"dxflow": options}, "default_method": "options"}
    rsync(f"file://{tmp_path}/src", f"dxflow://{top}/dst", inst_kwargs=inst)
    assert content(fs, f"{top}/dst") == {"x": b"x", "s/y": b"y"}


def test_facts(fs: DxflowFileSystem, top: str, remote: str) -> None:
    """Times, links and directories are what storage knows; places that do not exist are not found."""
    fs.pipe_file(f"{top}/x", b"x")
    assert abs(fs.modified(f"{top}/x").timestamp() - time.time()) < 3600
    with pytest.raises(UnsupportedError, match="modified"):
        fs.created(f"{top}/x")
    if remote in ("aws", "azure"):
        assert fs.sign(f"{top}/x", expiration=60).startswith("http")
        with pytest.raises(UnsupportedError, match="time"):
            fs.modified(top)
    else:
        with pytest.raises(UnsupportedError, match="presign"):
            fs.sign(f"{top}/x")
    for written in (top, f"{top}/", f"dxflow://{top}"):
        info = fs.info(written)
        assert (info["name"], info["size"], info["type"]) == (top, 0, "directory")
    base = top.partition("/")[0]
    for place in (f"{base}/no-such-place", f"{base}/no-such-place/x"):
        assert not fs.exists(place)
        assert not fs.isdir(place)
    for place in ("nope", "nope/bucket/x"):
        with pytest.raises(ConfigurationError, match="nope"):
            fs.exists(place)


def test_directories(fs: DxflowFileSystem, top: str, remote: str) -> None:
    """Directories are made where they are real; elsewhere they need their bucket, and nothing else."""
    fs.pipe_file(f"{top}/x", b"x")
    fs.mkdir(f"{top}/d")
    fs.makedirs(f"{top}/d/e", exist_ok=True)
    fs.makedirs(top, exist_ok=True)
    real = remote in ("local", "unit")
    assert fs.isdir(f"{top}/d/e") == real
    if real:
        with pytest.raises(FileExistsError):
            fs.mkdir(f"{top}/d")
        with pytest.raises(FileNotFoundError):
            fs.mkdir(f"{top}/none/d", create_parents=False)
        with pytest.raises(OSError, match="not empty"):
            fs.rmdir(f"{top}/d")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(top)
    with pytest.raises(NotADirectoryError):
        fs.rmdir(f"{top}/x")
    fs.rmdir(f"{top}/d/e")
    fs.rmdir(f"{top}/d")
    assert not fs.exists(f"{top}/d")
    assert fs.cat_file(f"{top}/x") == b"x"


def test_a_directory_that_is_filled_while_it_is_removed(
    fs: DxflowFileSystem, top: str, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes into it after it was seen to be empty stays."""
    fs.makedirs(f"{top}/d", exist_ok=True)

    async def seen_empty(path: str, **_: Any) -> list[str]:
        await fs._pipe_file(f"{path}/new", b"new")
        return []

    monkeypatch.setattr(fs, "_ls", seen_empty)
    real = remote in ("local", "unit")
    with pytest.raises(OSError, match="not empty") if real else nullcontext():
        fs.rmdir(f"{top}/d")
    assert fs.cat_file(f"{top}/d/new") == b"new"


def test_buckets(fs: DxflowFileSystem, top: str, remote: str) -> None:
    """Buckets are neither created nor deleted, and no call says otherwise."""
    if remote in ("local", "unit"):
        pytest.skip("it has no buckets")
    bucket, new = "/".join(top.split("/")[:2]), f"{remote}/no-such-bucket-{top[-8:]}"
    for make in (fs.mkdir, fs.makedirs):
        for place in (bucket, remote):
            with pytest.raises(FileExistsError):
                make(place)
        with pytest.raises(UnsupportedError, match="service"):
            make(new)
        with pytest.raises(FileNotFoundError, match="no bucket"):
            make(f"{new}/d")
    fs.makedirs(bucket, exist_ok=True)
    fs.makedirs(remote, exist_ok=True)
    for place in (bucket, new, remote, ""):
        with pytest.raises(UnsupportedError):
            fs.rmdir(place)
    assert not fs.exists(new)


def test_directories_with_markers(top: str, settings: Any, remote: str, request: pytest.FixtureRequest) -> None:
    """An empty object that stands for a directory is removed with it."""
    if remote != "aws":
        pytest.skip("one service shows it")
    moto: MotoServer = request.getfixturevalue("moto")
    fs = DxflowFileSystem(settings=settings)
    _, bucket, name = top.split("/")
    moto.client.put_object(Bucket=bucket, Key=f"{name}/")
    assert fs.isdir(top)
    fs.rmdir(top)
    assert not fs.exists(top)
