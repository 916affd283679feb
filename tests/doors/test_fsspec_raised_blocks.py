"""A `with` block that raises stores nothing, whoever closes the file."""

from __future__ import annotations

import contextlib
import gc
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec", reason="the file system is fsspec's")

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dxflow_async.doors.fsspec import DxflowFileSystem

pytestmark = pytest.mark.server


class Place:
    """A file that exists, and how it is written.

    Attributes:
        fs: its file system.
        path: the file.
        options: the arguments of the file system.
    """

    def __init__(self, options: dict[str, Any], path: str, caches: Path) -> None:
        self.fs = DxflowFileSystem(**options)
        self.path = path
        self.options = options
        self._caches = caches
        self.fs.pipe_file(path, b"old")

    @property
    def url(self) -> str:
        """The file as a URL."""
        return f"dxflow://{self.path}"

    def opened(self, chain: str = "", mode: str = "wb", **options: Any) -> Any:
        """Opens it with `fsspec.open`, through other file systems."""
        return fsspec.open(f"{chain}{self.url}", mode, **self.chained(chain), **options)

    def chained(self, chain: str) -> dict[str, Any]:
        """Returns the arguments of the file systems of a chain."""
        options: dict[str, Any] = {"dxflow": self.options}
        name = chain.partition(":")[0]
        if name.endswith("cache"):
            options[name] = {"cache_storage": str(self._caches / name)}
        return options


@pytest.fixture
def place(remote: str, options: dict[str, Any], tops: Callable[[str], str], tmp_path: Path) -> Place:
    """A file that holds `old`."""
    return Place(options, f"{tops(remote)}/x", tmp_path / "caches")


def block(place: Place, chain: str = "", mode: str = "wb", **options: Any) -> None:
    """A block of `fsspec.open` that raises."""
    with place.opened(chain, mode, **options) as file:
        file.write("text" if "b" not in mode else b"bytes")
        raise ZeroDivisionError


def several(place: Place, chain: str) -> None:
    """A block of `fsspec.open_files` that raises."""
    urls = [f"{chain}{place.url}", f"{chain}{place.url}2"]
    with fsspec.open_files(urls, "wb", **place.chained(chain)) as files:
        for file in files:
            file.write(b"bytes")
        raise ZeroDivisionError


class Unwritable:
    """A value without a text."""

    def __str__(self) -> str:
        raise ZeroDivisionError


def csv(place: Place, chain: str = "", **options: Any) -> None:
    """A table that cannot be written to its end."""
    table = pd.DataFrame({"a": ["x" * 50] * 20_000 + [Unwritable()]})
    table.to_csv(f"{chain}{place.url}", storage_options=place.chained(chain), **options)


def parquet(place: Place) -> None:
    """A block of a Parquet writer that raises, with a row group written."""
    table = pa.table({"a": list(range(1000))})
    with pq.ParquetWriter(place.path, table.schema, filesystem=place.fs) as writer:
        writer.write_table(table)
        raise ZeroDivisionError


def text_above(place: Place) -> None:
    """A text file of `io` above one of ours."""
    with place.fs.open(place.path, "wb") as file, io.TextIOWrapper(file) as text:
        text.write("text")
        raise ZeroDivisionError


def closing(place: Place, mode: str) -> None:
    """A file that is closed by `contextlib`."""
    with contextlib.closing(place.fs.open(place.path, mode)) as file:
        file.write(b"bytes" if "b" in mode else "text")
        raise ZeroDivisionError


def callback(place: Place) -> None:
    """A file that is closed by a stack of contexts."""
    with contextlib.ExitStack() as stack:
        file = place.fs.open(place.path, "wb")
        stack.callback(file.close)
        file.write(b"bytes")
        raise ZeroDivisionError


@contextlib.contextmanager
def written(place: Place) -> Iterator[Any]:
    """A context that closes its file in any case."""
    file = place.fs.open(place.path, "wb")
    try:
        yield file
    finally:
        file.close()


def context(place: Place) -> None:
    """A file that the caller's context closes."""
    with written(place) as file:
        file.write(b"bytes")
        raise ZeroDivisionError


def table_to_parquet(place: Place) -> None:
    """A table whose compression fails while it is written."""
    table = pd.DataFrame({"a": range(1000)})
    table.to_parquet(place.url, storage_options=place.options, compression="gzip", compression_level=99)


def table_to_pickle(place: Place) -> None:
    """A table with a value that is not pickled."""
    pd.DataFrame({"a": [lambda: 1]}).to_pickle(place.url, storage_options=place.options)


WAYS: dict[str, Callable[[Place], None]] = {
    "cache": lambda place: block(place, "simplecache::"),
    "text in a cache": lambda place: block(place, "simplecache::", "w"),
    "gzip in a cache": lambda place: block(place, "simplecache::", compression="gzip"),
    "file cache": lambda place: block(place, "filecache::"),
    "archive": lambda place: block(place, "zip://member::", zip={"mode": "w"}),
    "text in an archive": lambda place: block(place, "zip://member::", "w", zip={"mode": "w"}),
    "gzip": lambda place: block(place, compression="gzip"),
    "several": lambda place: several(place, ""),
    "several in a cache": lambda place: several(place, "simplecache::"),
    "csv": csv,
    "csv gzip": lambda place: csv(place, compression="gzip"),
    "csv zip": lambda place: csv(place, compression="zip"),
    "csv in a cache": lambda place: csv(place, "simplecache::"),
    "to_parquet": table_to_parquet,
    "to_pickle": table_to_pickle,
    "parquet": parquet,
    "text above": text_above,
    "closing": lambda place: closing(place, "wb"),
    "closing text": lambda place: closing(place, "w"),
    "callback": callback,
    "context": context,
}

ERRORS: dict[str, type[Exception]] = {"to_parquet": OSError, "to_pickle": AttributeError}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_stored(place: Place, way: str) -> None:
    """The old file stays, nothing is left beside it, and caches hold no half of the new one."""
    with pytest.raises(ERRORS.get(way, ZeroDivisionError)):
        WAYS[way](place)
    gc.collect()  # an archive is closed when it is collected
    directory = place.path.rpartition("/")[0]
    assert place.fs.find(directory) == [place.path]
    assert place.fs.cat_file(place.path) == b"old"
    for chain in ("simplecache::", "filecache::"):
        with place.opened(chain, "rb") as file:
            assert file.read() == b"old"


def test_blocks_that_do_not_raise(place: Place) -> None:
    """The same ways store files whose blocks end well, also while an exception is handled."""
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        for chain in ("simplecache::", "zip://member::"):
            options = {"zip": {"mode": "w"}} if "zip" in chain else {}
            with place.opened(chain, "wb", **options) as file:
                file.write(b"bytes")
            del file
            gc.collect()
            assert b"bytes" in place.fs.cat_file(place.path)
            place.fs.pipe_file(place.path, b"old")
        with written(place) as file:
            file.write(b"context")
        assert place.fs.cat_file(place.path) == b"context"
        with place.fs.open(place.path, "wb") as file, io.TextIOWrapper(file) as text:
            text.write("text above")
        assert place.fs.cat_file(place.path) == b"text above"


class Reporting:
    """A context that writes a report when its block has raised."""

    def __init__(self, report: Callable[[], None]) -> None:
        self._report = report

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._report()


REPORTS: dict[str, Callable[[Place], None]] = {}


def report(write: Callable[[Place], None]) -> Callable[[Place], None]:
    """Registers a way to write a report."""
    REPORTS[write.__name__] = write
    return write


@report
def closed(place: Place) -> None:
    """Opens and closes a file."""
    file = place.fs.open(place.path, "wb")
    file.write(b"report")
    file.close()


@report
def block_of_its_own(place: Place) -> None:
    """Writes a file in a block."""
    with place.opened() as file:
        file.write(b"report")


@report
def cached_block(place: Place) -> None:
    """Writes a file through a cache."""
    with place.opened("simplecache::") as file:
        file.write(b"report")


@report
def io_block(place: Place) -> None:
    """Writes a file in the block of a text file of `io`."""
    with io.TextIOWrapper(place.fs.open(place.path, "wb")) as file:
        file.write("report")


@report
def uploaded(place: Place) -> None:
    """Uploads a file."""
    place.fs.pipe_file(place.path, b"report")


@pytest.mark.parametrize("write", REPORTS)
def test_files_of_an_exit(place: Place, write: str) -> None:
    """What is opened after a block has raised is stored."""

    def run() -> None:
        with Reporting(lambda: REPORTS[write](place)):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert place.fs.cat_file(place.path) == b"report"


def test_collected_in_an_exit(place: Place) -> None:
    """An archive that is collected while the block of something else ends is stored."""
    archive = [fsspec.filesystem("zip", fo=place.url, mode="w", target_options=place.options)]
    archive[0].pipe_file("member", b"bytes")

    def drop() -> None:
        archive.clear()
        gc.collect()

    def run() -> None:
        with Reporting(drop):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert b"bytes" in place.fs.cat_file(place.path)


def test_clauses_store(place: Place) -> None:
    """A file that is closed in an `except` or `finally` clause is stored: only blocks are looked at."""

    def run() -> None:
        file = place.fs.open(place.path, "wb")
        try:
            file.write(b"until now")
            raise KeyboardInterrupt
        finally:
            file.close()

    with pytest.raises(KeyboardInterrupt):
        run()
    assert place.fs.cat_file(place.path) == b"until now"
