"""Tables in several files and compressed ones, written and read by the libraries that use fsspec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("fsspec", reason="the file system is fsspec's")

from dxflow_async.doors.fsspec import DxflowFileSystem

pytestmark = pytest.mark.server


@pytest.fixture
def fs(options: dict[str, Any]) -> DxflowFileSystem:
    """The file system."""
    return DxflowFileSystem(**options)


@pytest.fixture
def top(remote: str, tops: Callable[[str], str]) -> str:
    """A directory of the test's own, as a URL."""
    return f"dxflow://{tops(remote)}"


@pytest.fixture
def frame() -> Any:
    """A table of two groups."""
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"k": ["a b", "c"] * 50, "v": range(100)})


def test_pandas(top: str, options: dict[str, Any], fs: DxflowFileSystem, frame: Any) -> None:
    """Pandas writes and reads compressed CSV, JSON lines, and partitioned Parquet."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for name, compression in (("t.csv.gz", "infer"), ("t.csv", "gzip"), ("t.zip", "zip"), ("t.xz", "xz")):
        frame.to_csv(f"{top}/{name}", index=False, compression=compression, storage_options=options)
        read = pandas.read_csv(f"{top}/{name}", compression=compression, storage_options=options)
        assert read.equals(frame), name
    assert fs.cat_file(f"{top}/t.csv", 0, 2) == b"\x1f\x8b"
    chunks = pandas.read_csv(f"{top}/t.csv", compression="gzip", chunksize=30, storage_options=options)
    assert [len(each) for each in chunks] == [30, 30, 30, 10]
    frame.to_json(f"{top}/t.jsonl", orient="records", lines=True, storage_options=options)
    assert pandas.read_json(f"{top}/t.jsonl", lines=True, storage_options=options).equals(frame)
    frame.to_pickle(f"{top}/t.pkl", storage_options=options)
    assert pandas.read_pickle(f"{top}/t.pkl", storage_options=options).equals(frame)
    frame.to_parquet(f"{top}/set", partition_cols=["k"], storage_options=options)
    for written in (f"{top}/set", f"{top}/set/"):
        read = pandas.read_parquet(written, filters=[("k", "==", "c")], storage_options=options)
        assert read["v"].tolist() == list(range(1, 100, 2))
    with pytest.raises(ValueError, match="mode"):
        frame.to_csv(f"{top}/t.csv", mode="a", storage_options=options)


def test_pyarrow(top: str, fs: DxflowFileSystem) -> None:
    """A partitioned data set is written, replaced in part, listed, moved and deleted."""
    arrow, dataset, arrow_fs = (pytest.importorskip(f"pyarrow{name}") for name in ("", ".dataset", ".fs"))
    handler = arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(fs))
    path = top.removeprefix("dxflow://")
    table = arrow.table({"k": ["a", "b"] * 50, "v": list(range(100))})
    rules: dict[str, Any] = {
        "format": "parquet",
        "partitioning": ["k"],
        "partitioning_flavor": "hive",
        "filesystem": handler,
        "existing_data_behavior": "delete_matching",
    }
    dataset.write_dataset(table, f"{path}/set", **rules)
    part = table.filter(arrow.array([True, False] * 50)).slice(0, 3)
    dataset.write_dataset(part, f"{path}/set", **rules)
    read = dataset.dataset(f"{path}/set", format="parquet", partitioning="hive", filesystem=handler)
    assert read.count_rows() == 53
    assert read.to_table(filter=dataset.field("k") == "a")["v"].to_pylist() == [0, 2, 4]
    found = handler.get_file_info(arrow_fs.FileSelector(f"{path}/set", recursive=True))
    files = [each for each in found if each.type == arrow_fs.FileType.File]
    assert len(files) == 2
    assert all(each.size > 0 and each.mtime is not None for each in files)
    assert handler.get_file_info(f"{path}/none").type == arrow_fs.FileType.NotFound
    handler.move(f"{path}/set", f"{path}/moved")
    handler.copy_file(fs.glob(f"{path}/moved/k=a/*")[0], f"{path}/copied.parquet")
    assert dataset.dataset(f"{path}/moved", partitioning="hive", filesystem=handler).count_rows() == 53
    assert dataset.dataset(f"{path}/copied.parquet", filesystem=handler).count_rows() == 3
    assert handler.get_file_info(f"{path}/set").type == arrow_fs.FileType.NotFound
    handler.delete_dir(f"{path}/moved")
    assert fs.find(path) == [f"{path}/copied.parquet"]


def test_duckdb(top: str, fs: DxflowFileSystem) -> None:
    """DuckDB reads patterns, also of several levels and of partitions, and compressed files."""
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        for k in range(3):
            rows = f"SELECT 3 * range + {k} AS x FROM range(300)"
            connection.execute(f"COPY ({rows}) TO '{top}/set/k={k}/part.parquet' (FORMAT parquet)")
        asked = f"SELECT sum(x) FROM read_parquet('{top}/set/*/*.parquet', hive_partitioning = true) WHERE k = 1"
        assert connection.execute(asked).fetchall() == [(sum(range(1, 900, 3)),)]
        for pattern, count in (("set/**/*.parquet", 900), ("set/k=[01]/*.parquet", 600)):
            found = connection.execute(f"SELECT count(*) FROM read_parquet('{top}/{pattern}')").fetchall()
            assert found == [(count,)], pattern
        connection.execute(f"COPY (SELECT 1 AS x) TO '{top}/a.csv.gz'")
        connection.execute(f"COPY (SELECT 2 AS x) TO '{top}/b.csv.gz'")
        assert connection.execute(f"SELECT sum(x) FROM read_csv('{top}/*.csv.gz')").fetchall() == [(3,)]


@pytest.mark.filterwarnings("ignore::Warning")  # between dask and pandas
def test_dask(top: str, options: dict[str, Any], frame: Any) -> None:
    """Dask writes partitions by a column, and reads patterns, blocks of files, and compressed ones."""
    dataframe = pytest.importorskip("dask.dataframe")
    import dask
    from dask import bag

    with dask.config.set(scheduler="threads"):
        parts = dataframe.from_pandas(frame, npartitions=3)
        parts.to_parquet(f"{top}/set", partition_on=["k"], storage_options=options)
        read = dataframe.read_parquet(f"{top}/set", filters=[("k", "==", "c")], storage_options=options)
        assert read["v"].sum().compute() == sum(range(1, 100, 2))
        read = dataframe.read_parquet(f"{top}/set/k=c/*.parquet", storage_options=options)
        assert read["v"].sum().compute() == sum(range(1, 100, 2))
        parts.to_csv(f"{top}/csv/part-*.csv", index=False, storage_options=options)
        read = dataframe.read_csv(f"{top}/csv/*.csv", blocksize=100, storage_options=options)
        assert read["v"].sum().compute() == sum(range(100))
        parts.to_csv(f"{top}/gz/part-*.csv.gz", index=False, compression="gzip", storage_options=options)
        read = dataframe.read_csv(
            f"{top}/gz/*.gz", compression="gzip", blocksize=None, include_path_column=True, storage_options=options
        )
        assert read["v"].sum().compute() == sum(range(100))
        lines: Any = bag.read_text(f"{top}/csv/*.csv", storage_options=options)  # type: ignore[no-untyped-call]
        assert lines.count().compute() == 103


@pytest.mark.filterwarnings("ignore:UPath:UserWarning")  # it has no class of its own for the protocol
def test_universal_pathlib(top: str, options: dict[str, Any]) -> None:
    """`UPath` matches patterns, moves, deletes, and keeps odd names."""
    upath = pytest.importorskip("upath")
    path = upath.UPath(top, **options)
    for name in ("d/a b.txt", "d/50%#.txt", "d/e/y.csv"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    assert sorted(each.name for each in (path / "d").glob("*.txt")) == ["50%#.txt", "a b.txt"]
    assert {each.name for each in (path / "d").iterdir()} == {"50%#.txt", "a b.txt", "e"}
    assert (path / "d/50%#.txt").read_text() == "d/50%#.txt"
    assert (path / "d/a b.txt").stat().st_size == 9
    assert (path / "d").is_dir()
    assert (path / "d/a b.txt").is_file()
    moved = (path / "d/a b.txt").rename(path / "d/moved.txt")
    assert moved.read_bytes() == b"d/a b.txt"
    assert not (path / "d/a b.txt").exists()

    def fail() -> None:
        with (path / "new").open("w") as file:
            file.write("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not (path / "new").exists()
    moved.unlink()
    with pytest.raises(FileNotFoundError):
        moved.unlink()
    (path / "d/e").rmdir(recursive=True)
    assert [each.name for each in (path / "d").iterdir()] == ["50%#.txt"]
