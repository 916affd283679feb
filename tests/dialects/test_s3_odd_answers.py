"""Answers of S3 servers and of what stands before them that are right in form only in part."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from dxflow_async import StorageError
from tests.dialects.s3_exchange import Answer, Ask, S3Error
from tests.dialects.s3_operations import Operation
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.sessions import MiB

DATA = bytes(range(251)) * 14_000


def change(server: S3Server, name: str, changed: Callable[[Answer], Answer]) -> None:
    """Changes the answers to one operation after it was done."""
    answer = server._answer

    def other(operation: Operation, ask: Ask) -> Answer:
        found = answer(operation, ask)
        return changed(found) if operation.name == name else found

    server._answer = other  # type: ignore[method-assign]


@pytest.mark.parametrize("body", [b"", b"<html>ok</html>", b"<Other/>"])
async def test_deletions_that_say_nothing(tmp_path: Path, body: bytes) -> None:
    """A 200 without the document of DeleteObjects is no confirmation: the call fails, or all keys are gone."""
    async with S3Server() as server, open_session(server, tmp_path / "home") as session:
        keys = {f"dir/{number}": b"" for number in range(5)}
        for key in keys:
            server.store(key, b"")
        answer = server._answer

        def nothing(operation: Operation, ask: Ask) -> Answer:
            return Answer(200, {}, body) if operation.name == "DeleteObjects" else answer(operation, ask)

        server._answer = nothing  # type: ignore[method-assign]
        try:
            await session.get_storage_manager().delete("/bucket/dir/", "AWS")
        except StorageError:
            return
        assert server.objects() == {}


async def test_errors_for_half_of_the_keys(tmp_path: Path) -> None:
    """Keys that DeleteObjects refuses are errors that name them, and the others are gone."""
    async with S3Server() as server, open_session(server, tmp_path / "home") as session:
        for number in range(6):
            server.store(f"dir/{number}", b"")

        def half(found: Answer) -> Answer:
            for number in (1, 3, 5):
                server.store(f"dir/{number}", b"")
            rows = "".join(
                f"<Error><Key>dir/{number}</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
                for number in (1, 3, 5)
            )
            return replace(found, body=f"<DeleteResult>{rows}</DeleteResult>".encode())

        change(server, "DeleteObjects", half)
        with pytest.raises(StorageError, match="dir/1"):
            await session.get_storage_manager().delete("/bucket/dir/", "AWS")
        assert sorted(server.objects()) == ["dir/1", "dir/3", "dir/5"]


@pytest.mark.parametrize(
    "told", ["bytes 0-9/3514000", "bytes 6-4096/3514000", "bytes 5-4096/*", "bytes 5-4095/9", "junk", ""]
)
async def test_wrong_content_ranges(tmp_path: Path, told: str) -> None:
    """A range that is told wrongly never becomes wrong bytes."""
    async with S3Server(min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        server.store("x", DATA)

        def wrong(found: Answer) -> Answer:
            headers = {name: value for name, value in found.headers.items() if name != "Content-Range"}
            return replace(found, headers=headers | ({"Content-Range": told} if told else {}))

        change(server, "GetObject", wrong)
        try:
            got = b"".join([bytes(c) async for c in session.get_storage_manager().at("aws").read("/bucket/x", 5, 4097)])
        except StorageError:
            return
        assert got == DATA[5:4097]


@pytest.mark.parametrize("status", [403, 404, 400, 502])
@pytest.mark.parametrize("verb", ["read", "write", "list", "delete", "stat"])
async def test_pages_of_a_balancer(tmp_path: Path, verb: str, status: int) -> None:
    """A page of HTML is an error at every verb: no listing without entries, and no deletion that was done."""
    async with S3Server() as server, open_session(server, tmp_path / "home") as session:
        server.store("dir/x", b"x")
        page = f"<html><head><title>{status}</title></head><body>nginx</body></html>".encode()

        def paged(operation: Operation, ask: Ask) -> Answer:  # noqa: ARG001
            return Answer(status, {"Content-Type": "text/html"}, page, foreign=True)

        server._answer = paged  # type: ignore[method-assign]
        storage = session.get_storage_manager().at("aws")
        (tmp_path / "file").write_bytes(b"f")
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "read": partial(session.copy, "aws:/bucket/dir/x", f"{tmp_path}/here"),
            "write": partial(session.copy, f"{tmp_path}/file", "aws:/bucket/dir/x"),
            "list": partial(storage.list, "/bucket/dir/"),
            "delete": partial(storage.delete, "/bucket/dir/x"),
            "stat": partial(storage.stat, "/bucket/dir/x"),
        }
        with pytest.raises(StorageError):
            await calls[verb]()
        assert server.objects() == {"dir/x": b"x"}


@pytest.mark.parametrize(
    "text",
    [
        "Part number must be an integer between 1 and 3, inclusive",
        "You have exceeded the maximum number of parts (3)",
        "Too many parts",
        "The part number is out of range",
        "partNumber: value 4 is greater than 3",
    ],
)
async def test_limits_of_parts_in_other_words(tmp_path: Path, text: str) -> None:
    """The limit of parts is learned from different words of services, and the object is stored in larger parts."""
    async with S3Server(min_part_size=PART_SIZE) as server, open_session(server, tmp_path / "home") as session:
        answer = server._answer

        def limited(operation: Operation, ask: Ask) -> Answer:
            if operation.name == "UploadPart" and int(ask.query["partNumber"]) > 3:
                raise S3Error(400, "InvalidArgument", text)
            return answer(operation, ask)

        server._answer = limited  # type: ignore[method-assign]
        (tmp_path / "large").write_bytes(DATA * 2)
        assert len(DATA) * 2 > 6 * MiB
        await session.copy(f"{tmp_path}/large", "aws:/bucket/large")
        assert server.objects() == {"large": DATA * 2}
        assert server.unfinished() == []


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("=?UTF-8?Q?Ren=C3=A9?=", "René"),
        ("=?utf-8?q?Ren=C3=A9_M=C3=BCller?=", "René Müller"),
        ("=?UTF-8?B?UmVuw6k=?=", "René"),
        ("=?ISO-8859-1?Q?Ren=E9?=", "René"),
        ("=?UTF-8?Q?Ren=C3?= =?UTF-8?Q?=A9?=", "René"),
        ("=?UTF-8?B?UmVu?=\t =?UTF-8?B?w6k=?=", "René"),
        ("=?UTF-8*fr?Q?Ren=C3=A9?=", "René"),
    ],
)
async def test_encoded_words(tmp_path: Path, sent: str, value: str) -> None:
    """Encoded words of RFC 2047 are read in both forms, with any charset, a language, and cut anywhere."""
    quirks = Quirks(metadata="utf8")
    async with S3Server(quirks) as server, open_session(server, tmp_path / "home") as session:
        server.store("x", b"x", metadata={"name": sent})
        assert (await session.get_storage_manager().at("aws").stat("/bucket/x")).metadata == {"name": value}
