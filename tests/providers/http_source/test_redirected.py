"""Where redirects lead: pages in a file's place, other hosts, and names with escapes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dxflow_async.exceptions import ServiceError, UnsupportedError
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.http_source.provider import HTTPSourceProvider
from dxflow_async.providers.http_source.settings import from_url
from tests.providers.http_source.file_server import FileServer
from tests.providers.in_memory_bodies import read

PAGE = {"Content-Type": "text/html; charset=utf-8"}

Connect = Callable[..., HTTPSourceProvider]


@pytest.mark.parametrize("name", ["data", "data.d", "2024", "ü b"])
@pytest.mark.parametrize(("status", "whole"), [(301, True), (301, False), (302, True), (308, False)])
async def test_index_page_is_not_a_file(
    server: FileServer, source: HTTPSourceProvider, name: str, status: int, *, whole: bool
) -> None:
    """A name that leads to itself with a slash, as nginx, Apache and Caddy answer, is a directory."""
    target = server.url_of(f"/{name}/")
    server.put(f"/{name}", redirect=target if whole else target.removeprefix(server.url), redirect_status=status)
    server.put(f"/{name}/", b"<html>Index of", headers=PAGE, length=False, etag="", dated=False)
    for look in (source.stat(name), source.read(name), source.read(name, 2, 5)):
        with pytest.raises(UnsupportedError, match="is a directory"):
            await look


async def test_page_of_a_redirect_is_not_the_file(server: FileServer, source: HTTPSourceProvider) -> None:
    """A name without a suffix that leads to a page elsewhere, as of a sign-in, is not that page."""
    server.put("/raw/1f3a", redirect="/login?next=/raw/1f3a")
    server.put("/login", b"<html>sign in", headers=PAGE)
    for look in (source.stat("raw/1f3a"), source.read("raw/1f3a"), source.read("raw/1f3a", 2, 5)):
        with pytest.raises(ServiceError, match="sign-in page"):
            await look


async def test_pages_that_are_taken(server: FileServer, source: HTTPSourceProvider, connect_source: Connect) -> None:
    """A page is taken where its name, the path that it keeps, or the setting says so; other types always are."""
    async with FileServer() as other:
        server.put("/same", redirect=other.url_of("/same"))
        server.put("/old.html", redirect="/new")
        server.put("/export", redirect="/export/")
        server.put("/export/", b"a,b", headers={"Content-Type": "text/csv"})
        server.put("/new", b"<html>", headers=PAGE)
        other.put("/same", b"<html>", headers=PAGE)
        assert await read(source, "same") == await read(source, "old.html") == b"<html>"
        assert await read(source, "export") == b"a,b"
        server.put("/export/", b"<html>", headers=PAGE)
        assert await read(connect_source(endpoint=server.url, allow_html=True), "export") == b"<html>"


async def test_user_in_a_redirect(server: FileServer, source: HTTPSourceProvider) -> None:
    """A redirect to a URL with a user hides its host: it is not followed, and the host is named without the user."""
    async with FileServer() as other:
        other.put("/there", b"bytes")
        server.put("/here", redirect=f"http://bank.example:hush@127.0.0.1:{other.port}/there")
        with pytest.raises(ServiceError, match=r"redirect to 127\.0\.0\.1 with a user") as raised:
            await source.read("here")
        assert not other.seen
    assert "hush" not in str(raised.value)


async def test_names_that_are_escaped_twice(server: FileServer, source: HTTPSourceProvider, http: HTTP) -> None:
    """A percent sign of a name stays one, in a URL, in a remote's path, and where a redirect leads."""
    server.put("/a%20b.bin", b"twice")
    server.put("/a b.bin", b"once")
    settings, path = from_url(f"{server.url}/a%2520b.bin", None)
    assert path == "/a%20b.bin"
    assert await read(HTTPSourceProvider(settings, http), path.removeprefix("/")) == b"twice"
    assert await read(source, "a%20b.bin") == b"twice"
    server.put("/moved.bin", redirect="/a%2520b.bin")
    assert await read(source, "moved.bin") == b"twice"
    assert {seen.target for seen in server.seen} == {"/a%2520b.bin", "/moved.bin"}


@pytest.mark.parametrize("form", ["//localhost:{port}/there", "HTTP://LOCALHOST:{port}/there"])
async def test_credentials_stay_whatever_the_form(server: FileServer, connect_source: Connect, form: str) -> None:
    """A redirect to another host, however it is written, gets its own `Host` and no credentials."""
    source = connect_source(endpoint=server.url, token="hush")
    async with FileServer() as other:
        server.put("/here", redirect=form.format(port=other.port))
        other.put("/there", b"bytes")
        assert await read(source, "here") == b"bytes"
        (foreign,) = other.seen
    assert foreign.headers["Host"].lower().startswith("localhost")
    assert "hush" not in "".join(foreign.headers.values())
