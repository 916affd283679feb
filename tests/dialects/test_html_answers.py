"""Load balancers that answer 400 with a page of HTML in the place of a service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dxflow_async import AsyncSession
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.common.confirm import FEW_ATTEMPTS
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server

CALLS: dict[str, Callable[[AsyncSession, Path], Awaitable[object]]] = {
    "upload": lambda session, here: session.get_storage_manager().upload(here / "file", "/bucket/new"),
    "download": lambda session, here: session.get_storage_manager().download("/bucket/name", here / "down"),
    "list": lambda session, _: session.get_storage_manager().list(path="/bucket/"),
    "stat": lambda session, _: session.get_storage_manager().stat("/bucket/name"),
    "copy": lambda session, _: session.copy("aws:/bucket/name", "aws:/bucket/copy"),
    "delete": lambda session, _: session.get_storage_manager().delete("/bucket/name"),
}
_REQUESTS = 4
"""Requests that a call may need: a lookup and its own, and each may ask for the bucket's region."""


@pytest.mark.parametrize("call", CALLS)
async def test_a_page_for_ever(tmp_path: Path, call: str) -> None:
    """A call is tried a few times and then fails with an error that names the page's likely sender; nothing is lost."""
    (tmp_path / "file").write_bytes(b"bytes")
    async with S3Server(Quirks(html_400_every=1)) as server, open_session(server, tmp_path / "home") as session:
        server.store("name", b"kept")
        with pytest.raises(StorageError, match=r"a load balancer in front of it|a sign-in page, a proxy") as raised:
            await CALLS[call](session, tmp_path)
        assert "400" in str(raised.value)
        assert 1 < len(server.requests) <= FEW_ATTEMPTS * _REQUESTS
        assert server.objects() == {"name": b"kept"}
    assert not (tmp_path / "down").exists()


@pytest.mark.parametrize("call", CALLS)
async def test_a_page_now_and_then(tmp_path: Path, call: str) -> None:
    """Reads and writes succeed although each third request is answered with a page."""
    (tmp_path / "file").write_bytes(b"bytes")
    async with S3Server(Quirks(html_400_every=3)) as server, open_session(server, tmp_path / "home") as session:
        server.store("name", b"kept")
        await CALLS[call](session, tmp_path)
        await CALLS[call](session, tmp_path) if call != "delete" else None
        expected = {
            "upload": {"name": b"kept", "new": b"bytes"},
            "copy": {"name": b"kept", "copy": b"kept"},
            "delete": {},
        }
        assert server.objects() == expected.get(call, {"name": b"kept"})
