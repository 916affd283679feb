from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import (
    ConfigurationError,
    NotFoundError,
    SessionClosedError,
    UnsafePathError,
    UnsupportedError,
)
from tests.storage.tested_accounts import Account


async def put(account: Account, *names: str) -> None:
    for name in names:
        await account.storage.write(account / name, _bytes(name.encode()))


async def _bytes(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def names(account: Account, below: str = "") -> list[str]:
    try:
        found = await account.storage.list(path=account / below, recursive=True)
    except NotFoundError:
        return []
    return sorted(item.path[len(account / "") :] for item in found)


async def text(account: Account, name: str) -> str:
    return b"".join([chunk async for chunk in account.storage.read(account / name)]).decode()


async def test_list_shows_one_level(account: Account) -> None:
    """Files with their size, directories with a trailing slash in their path, in the order of names."""
    await put(account, "l/b", "l/a", "l/sub/x", "l/sub/y")
    items = await account.storage.list("AWS", account / "l/")
    assert [(item.name, item.directory, item.size) for item in items] == [
        ("a", False, 3),
        ("b", False, 3),
        ("sub", True, 0),
    ]
    assert items[2].path == account / "l/sub/"
    assert items == await account.storage.list("aws", account / "l")
    assert items[0].modification > 0


async def test_list_of_an_object_is_that_object(account: Account) -> None:
    """A path that names an object gives it."""
    await put(account, "one")
    (item,) = await account.storage.list("AWS", account / "one")
    assert (item.name, item.path, item.size) == ("one", account / "one", 3)


@pytest.mark.parametrize("name", ["missing", "missing/"])
async def test_list_of_nothing_is_an_error(account: Account, name: str) -> None:
    """What is not there is not an empty listing."""
    await put(account, "one")
    with pytest.raises(NotFoundError):
        await account.storage.list("AWS", account / name)


async def test_stat_and_exists(account: Account) -> None:
    """Objects and directories are there; nothing else is."""
    await put(account, "s/file.txt")
    item = await account.storage.stat(account / "s/file.txt")
    assert (item.name, item.size, item.directory) == ("file.txt", 10, False)
    assert (await account.storage.stat(account / "s")).directory
    assert (await account.storage.stat(account / "s/")).directory
    for name, there in [("s", True), ("s/", True), ("s/file.txt", True), ("s/fil", False), ("t/", False)]:
        assert await account.storage.exists(account / name) is there
    with pytest.raises(NotFoundError, match="check the path"):
        await account.storage.stat(account / "s/none")


async def test_delete_one_and_many(account: Account) -> None:
    """One path or several; what is not there is no error."""
    await put(account, "d/1", "d/2", "d/3", "d/4")
    assert await account.storage.delete(account / "d/1") == 1
    assert await account.storage.delete([account / "d/2", account / "d/3", account / "d/none"]) == 3
    assert await names(account) == ["d/4"]


async def test_delete_of_a_prefix_takes_all_under_it(account: Account, tmp_path: Path) -> None:
    """1,100 objects go with their directory, and its neighbours stay."""
    (tmp_path / "file").write_bytes(b"x")
    pairs = [(str(tmp_path / "file"), account / f"many/{number}") for number in range(1100)]
    await account.storage.upload_many(pairs)
    await put(account, "many-more", "man")
    assert await account.storage.delete(account / "many/") == (1100 if account.is_cloud else 1)
    assert await names(account) == ["man", "many-more"]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("c/a", "e/", {"e/a": "c/a"}),
        ("c/a", "e/name", {"e/name": "c/a"}),
        ("c/", "e/", {"e/a": "c/a", "e/sub/b": "c/sub/b"}),
        ("c", "e/", {"e/c/a": "c/a", "e/c/sub/b": "c/sub/b"}),
        ("c", "e", {"e/a": "c/a", "e/sub/b": "c/sub/b"}),
    ],
)
@pytest.mark.parametrize("move", [False, True])
async def test_copy_and_move(
    account: Account, source: str, target: str, expected: dict[str, str], *, move: bool
) -> None:
    """Objects and directories, by the rules of uploads; a move leaves nothing behind."""
    await put(account, "c/a", "c/sub/b", "keep")
    storage = account.storage
    report = await (storage.move if move else storage.copy)(account / source, account / target)
    assert report.ok
    assert {name: await text(account, name) for name in await names(account, "e/")} == expected
    left = {"c/a", "c/sub/b"} - (set(expected.values()) if move else set())
    assert {name for name in await names(account) if name.startswith("c/") and not name.endswith("/")} == left


@pytest.mark.parametrize(
    ("source", "target"),
    [("c/a", "c/a"), ("c/a", "c/"), ("c/", "c/"), ("c", "c/deep/"), ("c/", "c/deep/er"), ("c", "c")],
)
@pytest.mark.parametrize("move", [False, True])
async def test_onto_itself_is_refused(account: Account, source: str, target: str, *, move: bool) -> None:
    """The source as its own destination, or within itself, is an error, and nothing is lost."""
    await put(account, "c/a", "c/b")
    with pytest.raises(UnsafePathError, match="source, or lies in it"):
        await (account.storage.move if move else account.storage.copy)(account / source, account / target)
    assert await names(account) == ["c/a", "c/b"]


async def test_everything_into_itself_is_refused(cloud: Account) -> None:
    """The whole account lies in itself, too: such a copy would never end."""
    with pytest.raises(UnsafePathError, match="lies in it"):
        await cloud.storage.copy("/", cloud / "all/")


async def test_copy_of_nothing_is_an_error(account: Account) -> None:
    """What is not there cannot be copied."""
    with pytest.raises(NotFoundError):
        await account.storage.copy(account / "none", account / "x")


async def test_presign(account: Account) -> None:
    """A URL of S3 works without credentials; a local directory has none."""
    await put(account, "presigned +ü.txt")
    if not account.is_cloud:
        with pytest.raises(UnsupportedError, match="no URLs"):
            await account.storage.presign(account / "presigned +ü.txt")
        return
    url = await account.storage.presign(account / "presigned +ü.txt", expires=60)
    assert await asyncio.to_thread(_fetch, url) == "presigned +ü.txt".encode()


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        content: bytes = response.read()
        return content


@pytest.mark.parametrize("provider", ["S3", "", "LOCAL"])
async def test_unknown_provider_is_refused(account: Account, provider: str) -> None:
    """The message says which there are."""
    with pytest.raises(ConfigurationError, match="AWS, AZURE, GCP"):
        await account.storage.list(provider)


async def test_unknown_storage_type_is_refused(account: Account) -> None:
    """There are two."""
    with pytest.raises(ConfigurationError, match="private or public"):
        await account.storage.list(storage_type="secret")


async def test_everything_is_refused_after_close(tmp_path: Path) -> None:
    """A manager of a closed session says so, whatever it is asked."""
    async with AsyncSession("you@example.com", "password", settings=Settings(home=tmp_path)) as session:
        storage = session.get_storage_manager()
    with pytest.raises(SessionClosedError):
        session.get_storage_manager()
    with pytest.raises(SessionClosedError):
        storage._get_content_from_path("AWS", "/")
    with pytest.raises(SessionClosedError):
        await anext(storage.read("/b/k"))
    for call in (
        storage.list(),
        storage.stat("/b/k"),
        storage.exists("/b/k"),
        storage.update_all(),
        storage.upload("x", "/b/"),
        storage.download("/b/k"),
        storage.upload_many([]),
        storage.download_many([]),
        storage.write("/b/k", _bytes(b"")),
        storage.delete("/b/k"),
        storage.copy("/b/k", "/b/l"),
        storage.move("/b/k", "/b/l"),
        storage.presign("/b/k"),
    ):
        with pytest.raises(SessionClosedError):
            await call
