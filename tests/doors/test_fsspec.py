"""The file system in the hands of the libraries that use fsspec."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import (
    AlreadyExistsError,
    AsyncSession,
    ConfigurationError,
    GCPSettings,
    NotFoundError,
    ObjectOptions,
    PreconditionFailedError,
    Settings,
)
from tests.servers import SeaweedFS
from tests.sessions import settings_for

pytest.importorskip("fsspec", reason="the file system is fsspec's")

import fsspec

from dxflow_async.doors.fsspec import DxflowFileSystem
from dxflow_async.storage.files.reader import AsyncFileReader

pytestmark = pytest.mark.server


@pytest.fixture(params=["local", "weed"])
def remote(request: pytest.FixtureRequest) -> str:
    """A disk, and a real object store."""
    name: str = request.param
    return name


@pytest.fixture
def options(settings: Settings) -> dict[str, Any]:
    """The storage options of a call."""
    return {"settings": settings}


@pytest.fixture
def top(remote: str, tops: Callable[[str], str]) -> str:
    """A directory of the test's own, as a URL."""
    return f"dxflow://{tops(remote)}"


def test_pandas(top: str, options: dict[str, Any]) -> None:
    """CSV and Parquet are written and read by their URLs."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"x": range(1000), "y": [f"row {n}" for n in range(1000)]})
    frame.to_csv(f"{top}/t.csv", index=False, storage_options=options)
    assert pandas.read_csv(f"{top}/t.csv", storage_options=options).equals(frame)
    frame.to_parquet(f"{top}/t.parquet", storage_options=options)
    assert pandas.read_parquet(f"{top}/t.parquet", columns=["y"], storage_options=options).equals(frame[["y"]])


def test_pyarrow(top: str, settings: Settings) -> None:
    """A data set of several files is written and read through `pyarrow.fs`."""
    arrow, dataset, fs = (pytest.importorskip(f"pyarrow{name}") for name in ("", ".dataset", ".fs"))
    filesystem = fs.PyFileSystem(fs.FSSpecHandler(DxflowFileSystem(settings=settings)))
    path = top.removeprefix("dxflow://")
    table = arrow.table({"k": ["a", "b"] * 50, "v": list(range(100))})
    dataset.write_dataset(table, f"{path}/set", format="parquet", partitioning=["k"], filesystem=filesystem)
    read = dataset.dataset(f"{path}/set", format="parquet", partitioning=["k"], filesystem=filesystem)
    assert read.to_table(filter=dataset.field("k") == "b")["v"].to_pylist() == list(range(1, 100, 2))


def test_duckdb(top: str, settings: Settings) -> None:
    """DuckDB reads and writes through the registered file system."""
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        connection.register_filesystem(DxflowFileSystem(settings=settings))
        connection.execute(f"COPY (SELECT range AS x FROM range(1000)) TO '{top}/t.parquet' (FORMAT parquet)")
        assert connection.execute(f"SELECT sum(x) FROM read_parquet('{top}/*.parquet')").fetchall() == [(499_500,)]


@pytest.mark.filterwarnings("ignore::Warning")  # between dask and pandas
def test_dask(top: str, options: dict[str, Any]) -> None:
    """Partitions are written and read by dask."""
    dataframe = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    import dask

    frame = pandas.DataFrame({"x": range(1000)})
    with dask.config.set(scheduler="threads"):
        dataframe.from_pandas(frame, npartitions=4).to_parquet(f"{top}/set", storage_options=options)
        assert dataframe.read_parquet(f"{top}/set", storage_options=options)["x"].sum().compute() == 499_500


@pytest.mark.filterwarnings("ignore:UPath:UserWarning")  # it has no class of its own for the protocol
def test_universal_pathlib(top: str, options: dict[str, Any]) -> None:
    """`UPath` reads, writes and lists."""
    upath = pytest.importorskip("upath")
    path = upath.UPath(top, **options)
    (path / "d").mkdir(parents=True)
    (path / "d" / "x.txt").write_text("text")
    assert [each.name for each in path.rglob("*.txt")] == ["x.txt"]
    assert (path / "d" / "x.txt").read_text() == "text"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the block cache leaves its file open
def test_chained_urls(top: str, settings: Settings) -> None:
    """Archives and caches lie above the file system."""
    filesystem = DxflowFileSystem(settings=settings)
    path = top.removeprefix("dxflow://")
    with filesystem.open(f"{path}/a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.txt", "inside")
    chained = {"dxflow": {"settings": settings}}
    with fsspec.open(f"zip://x.txt::{top}/a.zip", "rt", **chained) as read:
        assert read.read() == "inside"
    with fsspec.open(f"simplecache::{top}/a.zip", "rb", **chained) as read:
        assert read.read(2) == b"PK"
    with fsspec.open(f"blockcache::{top}/a.zip", "rb", **chained) as read:
        assert read.read(2) == b"PK"


async def test_asynchronous_callers(top: str, settings: Settings) -> None:
    """In the caller's loop the calls are awaited, with a session of its own or the caller's."""
    path = top.removeprefix("dxflow://")
    async with AsyncSession(settings=settings) as session:
        filesystem = DxflowFileSystem(session=session, asynchronous=True)
        await filesystem._pipe_file(f"{path}/x", b"0123456789")
        assert await filesystem._cat_ranges([f"{path}/x"] * 2, [0, -3], [2, None]) == [b"01", b"789"]
        assert await filesystem._find(path) == [f"{path}/x"]
        async with await filesystem.open_async(f"{path}/x") as file:
            assert isinstance(file, AsyncFileReader)
            assert await file.read(3) == b"012"
    own = DxflowFileSystem(settings=settings, asynchronous=True)
    assert await own._cat_file(f"{path}/x", 2, 4) == b"23"
    await own.aclose()


def test_errors_and_facts(top: str, settings: Settings) -> None:
    """Errors are those that callers of files expect; listings tell sizes, times and versions."""
    filesystem, path = DxflowFileSystem(settings=settings), top.removeprefix("dxflow://")
    filesystem.pipe(f"{path}/d/x", b"abc")
    info = filesystem.info(f"{path}/d/x")
    assert (info["size"], info["type"], info["name"]) == (3, "file", f"{path}/d/x")
    assert filesystem.modified(f"{path}/d/x").tzinfo is not None
    assert filesystem.ukey(f"{path}/d/x")
    for call in (filesystem.info, filesystem.ls, filesystem.cat, filesystem.rm, filesystem.open):
        with pytest.raises(FileNotFoundError):
            call(f"{path}/missing")
    with pytest.raises(FileNotFoundError):
        filesystem.get(f"{path}/missing", str(settings.home / "x"))
    with pytest.raises(AlreadyExistsError):
        filesystem.pipe(f"{path}/d/x", b"", mode="create")
    with pytest.raises(IsADirectoryError):
        filesystem.rm(f"{path}/d")
    filesystem.rm(path, recursive=True)
    assert not filesystem.exists(f"{path}/d/x")
    assert {"aws", "azure", "gcp", "local", "unit"} <= set(filesystem.ls("", detail=False))
    with pytest.raises(ConfigurationError):
        filesystem.ls("no-such-remote/bucket")
    with pytest.raises(NotFoundError):
        filesystem.ls(f"{path}/missing")


def test_instances_are_kept_apart(settings: Settings) -> None:
    """Equal arguments share an instance; arguments whose text hides secrets never do. Instances are pickled."""
    assert fsspec.filesystem("dxflow") is fsspec.filesystem("dxflow")
    one, other = (
        DxflowFileSystem(settings=each) for each in (settings, Settings(gcp=GCPSettings(endpoint="http://h")))
    )
    assert one is not other
    assert pickle.loads(pickle.dumps(fsspec.filesystem("dxflow"))) is fsspec.filesystem("dxflow")
    assert isinstance(fsspec.open("dxflow://aws/bucket/x").fs, DxflowFileSystem)


def test_the_interpreter_ends(tmp_path: Path) -> None:
    """Sessions that the file system made are closed at the end, in silence."""
    script = f"""
    import fsspec
    with fsspec.open("dxflow://local{tmp_path}/x", "wb") as file:
        file.write(b"x")
    print(fsspec.open("dxflow://local{tmp_path}/x").open().read())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = {**os.environ, "HOME": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("b'x'\n", "", 0)


def test_ranges_and_empty_files(top: str, settings: Settings) -> None:
    """Ranges are those of slices, also behind the end and of an empty file, and seeks go anywhere."""
    filesystem, path, data = DxflowFileSystem(settings=settings), top.removeprefix("dxflow://"), bytes(range(100))
    filesystem.pipe({f"{path}/x": data, f"{path}/empty": b""})
    for span in ((0, 10), (-10, None), (-10, -5), (None, -90), (90, 200), (100, 200), (150, None), (50, 20), (-200, 5)):
        assert filesystem.cat_file(f"{path}/x", *span) == data[slice(*span)]
        assert filesystem.cat_file(f"{path}/empty", *span) == b""
    with filesystem.open(f"{path}/x") as file:
        assert file.seek(1 << 40) == 1 << 40
        assert file.read(5) == b""
        file.seek(-5, 2)
        assert (file.read(), file.size) == (data[-5:], 100)
        copied = pickle.loads(pickle.dumps(file))
        copied.seek(3)
        assert copied.read(2) == data[3:5]
        copied.close()


def test_odd_names(top: str, settings: Settings, tmp_path: Path) -> None:
    """A path that exists as it is written is not a pattern, and every name survives each call."""
    filesystem, path = DxflowFileSystem(settings=settings), top.removeprefix("dxflow://")
    names = ["a[1].txt", "a1.txt", "q?.txt", "s*r.txt", "h#x %41+&=.txt", "ün ï", "~t", "-dash", "x;y", "q'\""]
    filesystem.pipe({f"{path}/d/{name}": name.encode() for name in names})
    filesystem.get(f"{path}/d", str(tmp_path / "got"), recursive=True)
    assert sorted(os.listdir(tmp_path / "got")) == sorted(names)
    filesystem.put(str(tmp_path / "got"), f"{path}/put", recursive=True)
    filesystem.cp(f"{path}/put", f"{path}/copied", recursive=True)
    filesystem.mv_file(f"{path}/copied/a[1].txt", f"{path}/moved[1]")
    assert filesystem.cat(f"{path}/moved[1]") == b"a[1].txt"
    filesystem.rm(f"{path}/copied/s*r.txt")
    left = sorted(set(names) - {"a[1].txt", "s*r.txt"})
    assert sorted(name.rpartition("/")[2] for name in filesystem.find(f"{path}/copied")) == left
    assert filesystem.glob(f"{path}/d/a?.txt") == [f"{path}/d/a1.txt"]


def test_creation_and_conditions(top: str, settings: Settings, remote: str, tmp_path: Path) -> None:
    """A file that must be new replaces nothing, also one that appears while it is open; an etag is a condition."""
    filesystem, path = DxflowFileSystem(settings=settings), top.removeprefix("dxflow://")
    filesystem.pipe_file(f"{path}/x", b"old")
    (tmp_path / "new").write_bytes(b"new")
    calls: list[Callable[[], object]] = [
        lambda: filesystem.pipe_file(f"{path}/x", b"new", mode="create"),
        lambda: filesystem.put_file(str(tmp_path / "new"), f"{path}/x", mode="create"),
        lambda: filesystem.open(f"{path}/x", "xb"),
    ]
    for call in calls:
        with pytest.raises(AlreadyExistsError):
            call()
    file = filesystem.open(f"{path}/y", "xb")
    file.write(b"mine")
    filesystem.pipe_file(f"{path}/y", b"theirs")
    with pytest.raises(AlreadyExistsError):
        file.close()
    assert filesystem.cat([f"{path}/x", f"{path}/y"]) == {f"{path}/x": b"old", f"{path}/y": b"theirs"}
    if remote == "weed":
        etag = filesystem.info(f"{path}/x")["ETag"]
        filesystem.pipe_file(f"{path}/x", b"newer", if_match=etag, cache_control="max-age=60")
        with pytest.raises(PreconditionFailedError):
            filesystem.pipe_file(f"{path}/x", b"lost", if_match=etag)
        assert filesystem.cat_file(f"{path}/x") == b"newer"


def test_transactions(top: str, settings: Settings) -> None:
    """Files of a transaction appear at its end, or not at all; others are read meanwhile."""
    filesystem, path = DxflowFileSystem(settings=settings), top.removeprefix("dxflow://")
    filesystem.pipe_file(f"{path}/x", b"old")
    with filesystem.transaction:
        with filesystem.open(f"{path}/a", "wb") as file:
            file.write(b"a")
        assert not filesystem.exists(f"{path}/a")
        with filesystem.open(f"{path}/x") as read:
            assert read.read() == b"old"
    assert filesystem.cat_file(f"{path}/a") == b"a"

    def fail() -> None:
        with filesystem.transaction, filesystem.open(f"{path}/b", "wb") as file:
            file.write(b"b")
            file.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not filesystem.exists(f"{path}/b")


def test_options_of_objects(tmp_path: Path, bucket: str, weed: SeaweedFS) -> None:
    """What the file system and a call store with objects reaches the service, and the call wins."""
    options = ObjectOptions(cache_control="no-cache", metadata={"run": "7"})
    filesystem = DxflowFileSystem(settings=settings_for(weed, tmp_path / "home"), object_options=options)
    with filesystem.open(f"aws/{bucket}/opened", "wb", content_type="text/csv") as file:
        file.write(b"x")
    filesystem.pipe_file(f"aws/{bucket}/piped", b"x", cache_control="max-age=60")
    (tmp_path / "file").write_bytes(b"x")
    filesystem.put_file(str(tmp_path / "file"), f"aws/{bucket}/put")
    for name, control in (("opened", "no-cache"), ("piped", "max-age=60"), ("put", "no-cache")):
        head = weed.client.head_object(Bucket=bucket, Key=name)
        assert (head["CacheControl"], head["Metadata"]["run"]) == (control, "7")
    assert weed.client.head_object(Bucket=bucket, Key="opened")["ContentType"] == "text/csv"


def test_forked_processes(top: str, settings: Settings) -> None:
    """A child makes its own file system; the parent's goes on."""
    filesystem, path = DxflowFileSystem(settings=settings), top.removeprefix("dxflow://")
    filesystem.pipe_file(f"{path}/x", b"parent")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            other = DxflowFileSystem(settings=settings)
            other.pipe_file(f"{path}/y", other.cat_file(f"{path}/x") + b" and child")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert filesystem.cat_file(f"{path}/y") == b"parent and child"
