"""What the options of `cp` and `mv` store with objects, at a server in this process that keeps all of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.called_command import Command
from tests.dialects.s3_server import S3Server

OPTIONS = {
    "--content-type": "text/x",
    "--cache-control": "no-store",
    "--storage-class": "STANDARD_IA",
    "--sse": "aws:kms:alias/own",
    "--meta": "team=geo=1",
    "--tag": "kind=raw",
}
GIVEN = [text for option in OPTIONS.items() for text in option]
SSE = "x-amz-server-side-encryption"


async def started() -> S3Server:
    """A server of the running loop."""
    return await S3Server().__aenter__()


@pytest.fixture
def keeping(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server in a thread, set as the S3 service by the environment."""
    assert home
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(started())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    monkeypatch.setenv("DXFLOW_AWS_ENDPOINT", server.endpoint)
    monkeypatch.setenv("DXFLOW_AWS_REGION", server.region)
    monkeypatch.setenv("DXFLOW_AWS_ACCESS_KEY", server.access_key)
    monkeypatch.setenv("DXFLOW_AWS_SECRET_KEY", server.secret_key)
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(server.__aexit__(None, None, None))
    loop.close()


def check(server: S3Server, key: str) -> None:
    """Asserts that all of `OPTIONS` is stored with an object."""
    found = server.stored(key)
    assert (found.headers["content-type"], found.headers["cache-control"]) == ("text/x", "no-store"), key
    assert found.headers["x-amz-storage-class"] == "STANDARD_IA", key
    assert (found.headers[SSE], found.headers[f"{SSE}-aws-kms-key-id"]) == ("aws:kms", "alias/own"), key
    assert (found.metadata["team"], found.tags) == ("geo=1", "kind=raw"), key


def test_every_option_is_stored_by_each_command(command: Command, keeping: S3Server, tmp_path: Path) -> None:
    """Files, directories, standard input, moves, and copies at the service."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a").write_bytes(b"a")
    (tmp_path / "gone").write_bytes(b"b")
    for arguments, key in (
        (("cp", "tree/a", "aws:/bucket/file"), "file"),
        (("cp", "tree/", "aws:/bucket/dir/"), "dir/a"),
        (("cp", "-", "aws:/bucket/stream"), "stream"),
        (("mv", "gone", "aws:/bucket/moved"), "moved"),
    ):
        outcome = command(*arguments, *GIVEN, stdin="data")
        assert outcome.status == 0, outcome.stderr
        check(keeping, key)
    assert command("cp", "tree/a", "aws:/bucket/plain").status == 0
    assert command("cp", "aws:/bucket/plain", "aws:/bucket/copied", *GIVEN).status == 0
    check(keeping, "copied")
    assert keeping.stored("plain").tags == ""


@pytest.mark.parametrize(
    ("sse", "stored"),
    [("AES256", ("AES256", None)), ("aws:kms", ("aws:kms", None)), ("kms:k1", ("aws:kms", "k1"))],
)
def test_encryption(
    command: Command, keeping: S3Server, tmp_path: Path, sse: str, stored: tuple[str, str | None]
) -> None:
    """The service's own key, the account's key and a named key."""
    (tmp_path / "a").write_bytes(b"a")
    assert command("cp", "a", "aws:/bucket/a", "--sse", sse).status == 0
    headers = keeping.stored("a").headers
    assert (headers.get(SSE), headers.get(f"{SSE}-aws-kms-key-id")) == stored


def test_options_that_cannot_be_stored(command: Command, keeping: S3Server, tmp_path: Path) -> None:
    """Invalid values end the command with status 2, a disk refuses what it cannot keep with 1, and writes nothing."""
    (tmp_path / "a").write_bytes(b"a")
    for option, text in (("--sse", "AES128"), ("--sse", "AES256:key"), ("--tag", "kind"), ("--meta", "=x")):
        outcome = command("cp", "a", "aws:/bucket/a", option, text)
        assert (outcome.status, option in outcome.stderr) == (2, True), outcome.stderr
    for option in ("--cache-control", "--storage-class", "--sse", "--tag"):  # the others are kept where it is possible
        outcome = command("cp", "a", "copy", option, OPTIONS[option])
        assert (outcome.status, (tmp_path / "copy").exists()) == (1, False), option
    assert keeping.objects() == {}
