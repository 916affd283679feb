"""Customers' keys at each cloud: what is said of a missing, a wrong and a needless one, and that nothing shows one."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dxflow_async import AccessDeniedError, AsyncSession, Encryption, ObjectOptions, StorageError, TransferError
from tests.dialects.each_way import open_azure, open_google
from tests.dialects.encrypted_azure import EncryptedAzure
from tests.dialects.encrypted_google import EncryptedGoogle
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

KEY, OTHER = Encryption.customer(bytes(range(32))), Encryption.customer(bytes(32))
TOPS = {"aws": "aws:/bucket/top", "azure": "azure:/container/top", "gcp": "gcp:/bucket/top"}
REFUSED = {
    "missing": (AccessDeniedError, "with a customer's key: give that key in .*{}.customer_key"),
    "wrong": (AccessDeniedError, "another customer's key than the one in .*{}.customer_key"),
    "needless": (StorageError, "not encrypted with a customer's key: leave out that in .*{}.customer_key"),
}


@asynccontextmanager
async def opened(remote: str, home: Path) -> AsyncIterator[AsyncSession]:
    """A session without a key at a server that insists on those of objects."""
    if remote == "aws":
        async with S3Server(min_part_size=PART_SIZE) as s3, open_session(s3, home) as session:
            yield session
    elif remote == "azure":
        async with EncryptedAzure() as azure, open_azure(azure, home) as session:
            yield session
    else:
        async with EncryptedGoogle() as google, open_google(google, home) as session:
            yield session


def cause(error: StorageError) -> StorageError:
    """The error of the item, where a call of many failed because of it."""
    failed = error.report.failed if isinstance(error, TransferError) else []
    return failed[0].error or error if failed else error


@pytest.mark.parametrize("which", list(REFUSED))
@pytest.mark.parametrize("remote", list(TOPS))
async def test_keys_that_do_not_fit(tmp_path: Path, remote: str, which: str) -> None:
    """Reads, ranges, looks and downloads say what is wrong with the key and where it is given; nothing is left here."""
    async with opened(remote, tmp_path / "home") as session:
        storage, top = await session.storage_at(TOPS[remote])
        path, key = f"{top}/x", {"missing": None, "wrong": OTHER, "needless": KEY}[which]
        await storage.write(path, b"data", options=ObjectOptions(encryption=None if which == "needless" else KEY))

        async def read() -> None:
            async for _ in storage.read(path, encryption=key):
                raise AssertionError("something was read")

        async def read_range() -> None:
            async with storage.open(path, encryption=key) as file:
                await file.seek(1)
                await file.read(2)

        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "read": read,
            "range": read_range,
            "stat": lambda: storage.stat(path, encryption=key),
            "download": lambda: storage.download(path, str(tmp_path / "down"), encryption=key),
        }
        if which == "missing":
            calls |= {
                "copy": lambda: storage.copy(path, f"{top}/copy"),
                "move": lambda: storage.move(path, f"{top}/moved"),
                "move down": lambda: session.move(TOPS[remote] + "/x", str(tmp_path / "down")),
            }
            if remote == "gcp":
                del calls["stat"]  # Google tells everything but the checksums
        kind, words = REFUSED[which]
        for verb, call in calls.items():
            with pytest.raises(StorageError) as raised:
                await call()
            error = cause(raised.value)
            assert isinstance(error, kind), verb
            with pytest.raises(StorageError, match=words.format(remote.upper())):
                raise error
        assert not (tmp_path / "down").exists()
        assert [item.name for item in await storage.list(f"{top}/")] == ["x"]


@pytest.mark.parametrize("size", [10, 11 * MiB], ids=["whole", "in parts"])
@pytest.mark.parametrize("remote", list(TOPS))
async def test_nothing_shows_a_key(tmp_path: Path, remote: str, size: int, caplog: pytest.LogCaptureFixture) -> None:
    """Neither logs, errors, reports, reprs nor the files of jobs have it, also of calls that fail; workers get it."""
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    options = ObjectOptions(encryption=KEY)
    (tmp_path / "tree").mkdir()
    for name in ("a", "b"):
        (tmp_path / "tree" / name).write_bytes(b"x" * size)
    async with opened(remote, tmp_path / "home") as session:
        object.__setattr__(session.settings, "part_size", 5 * MiB)  # workers take no smaller ones
        storage, top = await session.storage_at(TOPS[remote])
        for count in (None, 2):
            report = await storage.upload(f"{tmp_path}/tree/", f"{top}/{count}/", options=options, processes=count)
            shown += [repr(report), json.dumps(report.to_dict())]
            assert (await storage.stat(f"{top}/{count}/b", encryption=KEY)).size == size
        pairs = [(str(tmp_path / "tree/a"), f"{top}/many/a"), (str(tmp_path / "missing"), f"{top}/many/b")]
        with pytest.raises(TransferError) as raised:
            await storage.upload_many(pairs, options=options)
        failed = raised.value
        shown += [repr(failed), str(failed), repr(vars(failed)), json.dumps(failed.report.to_dict())]
        assert b"".join([chunk async for chunk in storage.read(f"{top}/many/a", encryption=KEY)]) == b"x" * size
        with pytest.raises(StorageError) as unread:
            await storage.stat(f"{top}/many/a", encryption=OTHER)
        shown += [repr(unread.value), repr(vars(unread.value)), repr(unread.value.__cause__)]
        shown += [repr(options), repr(KEY), str(KEY), repr(session.settings), caplog.text]
        jobs = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
        assert any("jobs" in path.parts for path in jobs)
        for secret in (KEY, OTHER):
            forms = [str(secret.key), secret.key_md5, secret.key_sha256]
            assert not [form for form in forms for text in shown if form in text]
            assert not [path for path in jobs for form in forms if form.encode() in path.read_bytes()]
