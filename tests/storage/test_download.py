from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async.exceptions import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    TransferError,
)
from tests.servers import SeaweedFS
from tests.sessions import part_files
from tests.storage.tested_accounts import Account


def files(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


@pytest.fixture
async def stored(account: Account, tmp_path: Path) -> Account:
    """`dir/a`, `dir/deep/b`, the empty file `dir/zero` and the empty directory `dir/empty/`."""
    top = tmp_path / "made"
    (top / "deep").mkdir(parents=True)
    (top / "empty").mkdir()
    for name, content in [("a", b"a"), ("deep/b", b"bb"), ("zero", b"")]:
        (top / name).write_bytes(content)
    await account.storage.upload(f"{top}/", account / "dir/")
    return account


ALL = {"a": b"a", "deep/b": b"bb", "zero": b""}


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("dir/", "to", {f"to/{name}": content for name, content in ALL.items()}),
        ("dir", "to", {f"to/dir/{name}": content for name, content in ALL.items()}),
        ("dir/a", "to", {"to/a": b"a"}),
        ("dir/a", "to/", {"to/a": b"a"}),
        ("dir/a", "to/a", {"to/a": b"a"}),
        ("dir/a", "to/a/", {"to/a/a": b"a"}),
        ("dir/deep/", "to/deep", {"to/deep/b": b"bb"}),
        ("dir/zero", "to", {"to/zero": b""}),
    ],
)
async def test_where_objects_go(
    stored: Account, tmp_path: Path, source: str, target: str, expected: dict[str, bytes]
) -> None:
    """Into the directory, unless its last component is the object's own name."""
    report = await stored.storage.download(stored / source, f"{tmp_path}/back/{target}")
    assert files(tmp_path / "back") == expected
    assert report.ok


async def test_existing_directory_of_the_same_name_is_a_directory(stored: Account, tmp_path: Path) -> None:
    """A directory named as the object is one to put it into."""
    (tmp_path / "back/a").mkdir(parents=True)
    await stored.storage.download(stored / "dir/a", tmp_path / "back/a")
    assert files(tmp_path / "back") == {"a/a": b"a"}


async def test_default_is_the_directory_at_the_time_of_the_call(
    stored: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a target it is where the process is then."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        await stored.storage.download(stored / "dir/a")
        assert files(tmp_path / name) == {"a": b"a"}


async def test_empty_directories_come_back(stored: Account, tmp_path: Path) -> None:
    """A directory with nothing in it is there again."""
    await stored.storage.download(stored / "dir/", tmp_path / "back")
    assert (tmp_path / "back/empty").is_dir()


@pytest.mark.parametrize("source", ["missing", "missing/", "dir/missing", "dir/missing/"])
async def test_missing_source_is_an_error(stored: Account, tmp_path: Path, source: str) -> None:
    """What is not there is no silent success, and no directory is made for it."""
    with pytest.raises(NotFoundError):
        await stored.storage.download(stored / source, tmp_path / "back")
    assert not (tmp_path / "back").exists()


async def test_download_many_takes_pairs_of_either_kind(stored: Account, tmp_path: Path) -> None:
    """Each object becomes exactly the file that was named; directories are made."""
    pairs = [(stored / "dir/a", str(tmp_path / "x/y/one")), (stored / "dir/deep/b", str(tmp_path / "two"))]

    async def stream() -> AsyncIterator[tuple[str, str]]:
        for source, target in pairs:
            yield source, f"{target}-async"

    await stored.storage.download_many(pairs)
    await stored.storage.download_many(stream())
    assert (tmp_path / "x/y/one").read_bytes() == (tmp_path / "x/y/one-async").read_bytes() == b"a"
    assert (tmp_path / "two").read_bytes() == (tmp_path / "two-async").read_bytes() == b"bb"


async def test_partial_failure_keeps_what_worked(stored: Account, tmp_path: Path) -> None:
    """One missing object is one failed item."""
    pairs = [(stored / f"dir/{name}", str(tmp_path / "back" / name)) for name in ("a", "missing", "zero")]
    with pytest.raises(TransferError) as raised:
        await stored.storage.download_many(pairs)
    assert [result.source.rpartition("/")[2] for result in raised.value.report.failed] == ["missing"]
    assert files(tmp_path / "back") == {"a": b"a", "zero": b""}


async def test_file_in_the_way_of_a_directory(stored: Account, tmp_path: Path) -> None:
    """Where a directory is to be and a file is, the file stays and the error says so."""
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(StorageError) as raised:
        await stored.storage.download(stored / "dir/a", tmp_path / "file")
    assert isinstance(raised.value, TransferError | AlreadyExistsError)
    assert (tmp_path / "file").read_bytes() == b"mine"


async def test_names_never_leave_the_destination(cloud: Account, weed: SeaweedFS, tmp_path: Path) -> None:
    """A link that lies in the destination is not followed out of it; the others arrive."""
    bucket, _, area = cloud.bucket.partition("/")
    for name in ("ok", "link/evil"):
        weed.client.put_object(Bucket=bucket, Key=f"{area}/h/{name}", Body=b"x")
    (tmp_path / "back").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "back/link").symlink_to(tmp_path / "outside")
    with pytest.raises(TransferError, match="symbolic link"):
        await cloud.storage.download(cloud / "h/", tmp_path / "back")
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / "back/ok").read_bytes() == b"x"
    assert part_files(tmp_path) == []


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, b"0123456789"),
        (0, 4, b"0123"),
        (3, 7, b"3456"),
        (5, None, b"56789"),
        (None, 2, b"01"),
        (8, 1000, b"89"),
        (4, 4, b""),
    ],
)
async def test_ranges(account: Account, start: int | None, end: int | None, expected: bytes) -> None:
    """A read yields the bytes [start, end), to the end of the object at most."""

    async def stream() -> AsyncIterator[bytes]:
        yield b"0123456789"

    await account.storage.write(account / "digits", stream())
    chunks = [chunk async for chunk in account.storage.read(account / "digits", start, end)]
    assert b"".join(chunks) == expected


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4), (None, -1)])
async def test_impossible_ranges_are_refused(account: Account, start: int | None, end: int | None) -> None:
    """A range that cannot be is an error before anything is asked."""
    with pytest.raises(ValueError, match="range"):
        await anext(account.storage.read(account / "any", start, end))


async def test_range_behind_the_end(cloud: Account) -> None:
    """Where the object has no byte, S3 says so."""

    async def stream() -> AsyncIterator[bytes]:
        yield b"01"

    await cloud.storage.write(cloud / "short", stream())
    with pytest.raises(PreconditionFailedError):
        await anext(cloud.storage.read(cloud / "short", 5))


async def test_verified_where_the_service_tells_its_checksum(stored: Account, tmp_path: Path) -> None:
    """Downloads compare with the checksum that is stored."""
    report = await stored.storage.download(stored / "dir/", tmp_path / "back")
    moved = [result for result in report if not result.destination.endswith("/")]
    assert len(moved) == 3
    assert all(result.verified for result in moved)
    assert report.verification == "all verified"
