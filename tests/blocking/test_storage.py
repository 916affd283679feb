"""The blocking storage manager does what its twin does, and prints what is documented."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.blocking.compute import UnitStorage
from dxflow_async.blocking.session import Session
from dxflow_async.blocking.storage import StorageManager
from dxflow_async.exceptions import NotFoundError, StorageError, TransferError, UnsupportedError
from dxflow_async.models import Progress


def test_list_prints_a_line_an_item_and_returns_none(
    storage: StorageManager, capsys: pytest.CaptureFixture[str]
) -> None:
    """The documented table, in the order of the listing."""
    storage.write("/bucket/data.csv", b"12345")
    storage.write("/bucket/results/x", b"")
    returned = [each(provider="AWS", path="/bucket/") for each in (storage.list,)]
    assert returned == [None]
    lines = capsys.readouterr().out.splitlines()
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert len(lines) == 2
    assert re.fullmatch(rf"-          5 {time} data\.csv", lines[0])
    assert re.fullmatch(rf"d +\d+ {time} results", lines[1])


def test_list_of_everything_below_prints_paths(storage: StorageManager, capsys: pytest.CaptureFixture[str]) -> None:
    """A recursive listing shows where below the path each item is."""
    storage.write("/bucket/a/b/c.txt", b"")
    storage.list(path="/bucket", recursive=True)
    assert capsys.readouterr().out.endswith(" a/b/c.txt\n")


def test_list_with_return_info_prints_nothing(storage: StorageManager, capsys: pytest.CaptureFixture[str]) -> None:
    """It returns the items instead."""
    storage.write("/bucket/data.csv", b"12345")
    items = storage.list(path="/bucket/", return_info=True)
    assert [(item.name, item.size) for item in items] == [("data.csv", 5)]
    assert capsys.readouterr() == ("", "")


def test_list_of_nothing_raises(storage: StorageManager) -> None:
    """Errors of the twin pass through."""
    with pytest.raises(NotFoundError):
        storage.list(path="/bucket/none")


def test_scan_is_a_plain_iterator(storage: StorageManager) -> None:
    """It yields every item below, one after the other."""
    storage.upload_many([], provider="AWS")
    for number in range(5):
        storage.write(f"/bucket/{number}", b"")
    scan = storage.scan(path="/bucket/")
    assert isinstance(scan, Iterator)
    assert next(scan).name == "0"
    assert [item.name for item in scan] == ["1", "2", "3", "4"]


def test_stat_and_exists(storage: StorageManager) -> None:
    """They tell of one object."""
    storage.write("/bucket/data.csv", b"12345", content_type="text/csv")
    assert storage.stat("/bucket/data.csv").size == 5
    assert storage.exists("/bucket/data.csv")
    assert not storage.exists("/bucket/none")


@pytest.mark.parametrize(
    "given",
    [bytes, bytearray, io.BytesIO, lambda data: [data[:5], b"", data[5:]], lambda data: (bytes([x]) for x in data)],
    ids=["bytes", "bytearray", "file", "list", "generator"],
)
def test_write_takes_bytes_files_and_iterables(storage: StorageManager, given: Callable[[bytes], Any]) -> None:
    """However the bytes are given, they are stored."""
    report = storage.write("/bucket/digits", given(b"0123456789"))
    assert report.bytes == 10
    assert b"".join(storage.read("/bucket/digits")) == b"0123456789"


def test_write_takes_an_open_file_from_where_it_stands(storage: StorageManager, tmp_path: Path) -> None:
    """A large file object is read in pieces, from its position to its end."""
    content = bytes(range(256)) * 20_000
    path = tmp_path / "large"
    path.write_bytes(content)
    with path.open("rb") as file:
        file.seek(100)
        storage.write("/bucket/large", file)
    assert b"".join(storage.read("/bucket/large")) == content[100:]


@pytest.mark.parametrize("data", ["text", ["text"], io.StringIO("text")])
def test_write_refuses_text(storage: StorageManager, data: Any) -> None:
    """Text has no bytes before it is encoded; nothing is stored."""
    with pytest.raises(TypeError, match="bytes"):
        storage.write("/bucket/text", data)
    assert not storage.exists("/bucket/text")


def test_write_raises_what_the_callers_generator_raises(storage: StorageManager) -> None:
    """A broken source stores nothing."""

    def broken() -> Iterator[bytes]:
        yield b"some"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        storage.write("/bucket/broken", broken())
    assert not storage.exists("/bucket/broken")


def test_read_takes_a_range(storage: StorageManager) -> None:
    """From start to before end; it is a plain iterator that may be left early."""
    storage.write("/bucket/digits", b"0123456789")
    assert b"".join(storage.read("/bucket/digits", 3, 7)) == b"3456"
    next(storage.read("/bucket/digits"))
    with pytest.raises(NotFoundError):
        next(storage.read("/bucket/none"))


def test_upload_and_download_a_tree(storage: StorageManager, tmp_path: Path) -> None:
    """What went up comes down."""
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "a.txt").write_text("a")
    (tmp_path / "tree" / "sub" / "b.txt").write_text("b")
    assert len(storage.upload(tmp_path / "tree", "/bucket/")) == 2
    assert storage.download("/bucket/tree/", str(tmp_path / "back")).ok
    assert (tmp_path / "back" / "sub" / "b.txt").read_text() == "b"


def test_download_goes_to_the_current_directory_at_the_call(
    storage: StorageManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default destination is that of the call, not of the import or the session."""
    storage.write("/bucket/data.csv", b"12345")
    (tmp_path / "later").mkdir()
    monkeypatch.chdir(tmp_path / "later")
    storage.download("/bucket/data.csv")
    assert (tmp_path / "later" / "data.csv").read_bytes() == b"12345"


def test_many_pairs_are_taken_in_the_calling_thread(storage: StorageManager, tmp_path: Path) -> None:
    """Generators of pairs run in the caller's thread and may use the session."""
    threads = set()
    for number in range(600):
        (tmp_path / str(number)).write_bytes(b"%d" % number)

    def up() -> Iterator[tuple[str, str]]:
        for number in range(600):
            threads.add(threading.get_ident())
            yield str(tmp_path / str(number)), f"/bucket/{number}"

    def down() -> Iterator[tuple[str, str]]:
        for item in storage.scan(path="/bucket/"):
            threads.add(threading.get_ident())
            yield item.path, str(tmp_path / "back" / item.name)

    assert len(storage.upload_many(up())) == 600
    assert len(storage.download_many(down())) == 600
    assert all((tmp_path / "back" / str(number)).read_bytes() == b"%d" % number for number in range(600))
    assert threads == {threading.get_ident()}


def test_a_failed_transfer_raises_with_its_report(storage: StorageManager, tmp_path: Path) -> None:
    """The documented `except StorageError` catches it; what worked stays done."""
    (tmp_path / "there").write_bytes(b"x")
    pairs = [(str(tmp_path / "there"), "/bucket/there"), (str(tmp_path / "none"), "/bucket/none")]
    with pytest.raises(StorageError) as caught:
        storage.upload_many(pairs)
    assert isinstance(caught.value, TransferError)
    assert [result.destination for result in caught.value.report.failed] == ["aws:/bucket/none"]
    assert storage.exists("/bucket/there")


def test_delete_copy_and_move(storage: StorageManager) -> None:
    """One, many (a generator too), a prefix; copies stay, moved ones go."""
    for name in "abcdef":
        storage.write(f"/bucket/{name}", name.encode())
    storage.copy("/bucket/a", "/bucket/copies/a")
    storage.move("/bucket/b", "/bucket/moved/b")
    assert storage.delete("/bucket/c") == 1
    assert storage.delete(f"/bucket/{name}" for name in "de") == 2
    storage.delete("/bucket/copies/")
    left = [item.path for item in storage.scan(path="/bucket/") if not item.directory]
    assert left == ["/bucket/a", "/bucket/f", "/bucket/moved/b"]


def test_presign_says_when_it_cannot(storage: StorageManager) -> None:
    """A local directory has no URLs."""
    storage.write("/bucket/a", b"")
    with pytest.raises(UnsupportedError):
        storage.presign("/bucket/a")


def test_the_listing_cache(storage: StorageManager) -> None:
    """None before it was listed, dicts after, deeper ones by update_all."""
    storage.write("/bucket/sub/a", b"123")
    assert storage._get_content_from_path("AWS", "/bucket/sub/") is None
    storage.update_path_items(path="/bucket/sub/", provider="AWS")
    (content,) = storage._get_content_from_path("AWS", "/bucket/sub/") or []
    assert (content["name"], content["directory"], content["size"]) == ("a", False, 3)
    storage.update_all(provider="AWS", path="/")
    assert storage._get_content_from_path("AWS", "/bucket") is not None


def test_on_progress_is_told(storage: StorageManager, tmp_path: Path) -> None:
    """The last event has everything."""
    events: list[Progress] = []
    (tmp_path / "file").write_bytes(b"12345")
    storage.upload(tmp_path / "file", "/bucket/", on_progress=events.append)
    assert (events[-1].files_done, events[-1].bytes_done) == (1, 5)


def test_at_one_area(storage: StorageManager, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The storage of one area prints, returns, iterates and retries as the documented calls do."""
    area = storage.at("gcp")
    area.write("/bucket/x", b"123")
    area.list("/bucket/")
    assert capsys.readouterr().out.endswith(" x\n")
    assert [item.size for item in storage.list("GCP", "/bucket/", return_info=True)] == [3]
    assert b"".join(area.read("/bucket/x")) == b"123"
    pairs = [(str(tmp_path / name), f"/bucket/{name}") for name in ("one", "two")]
    with pytest.raises(TransferError) as failed:
        area.upload_many(pairs)
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"1")
    assert failed.value.report.retry_failed().ok
    result = area.try_delete("/bucket/")
    assert (result.asked, result.deleted, result.error) == (1, 1, None)
    assert not area.exists("/bucket/one")


def test_the_storage_of_a_location(session: Session) -> None:
    """`storage_at` gives the blocking storage of a remote or of a unit, and the path there."""
    storage, path = session.storage_at("aws:/bucket/x")
    storage.write(path, b"1")
    assert session.get_storage_manager().exists("/bucket/x")
    unit, path = session.storage_at("unit:/Demo/results/")
    assert isinstance(unit, UnitStorage)
    unit.mkdir(path)
    assert unit.stat("/results").directory
