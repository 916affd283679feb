"""What the providers' door offers for HTTP: paths of keys, errors of statuses, and XML with namespaces."""

from __future__ import annotations

from email.utils import formatdate
from time import time

import pytest

from dxflow_async.exceptions import (
    AccessDeniedError,
    NetworkError,
    NotFoundError,
    ServiceError,
    StorageError,
    ThrottledError,
    UnsafePathError,
)
from dxflow_async.providers import HTTP, Call, XMLParser, retry_after_of, status_error, url_path
from tests.scripted_server import ScriptedServer, answer

CALL = Call("STORE", "read", "/name")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("", ""),
        ("a b/ü", "a%20b/%C3%BC"),
        ("dir/", "dir/"),
        ("...", "..."),
        ("a?b#c%", "a%3Fb%23c%25"),
        ("\udcff", "%FF"),
    ],
)
def test_path_of_a_key(key: str, path: str) -> None:
    """A key is escaped byte for byte; its slashes stay."""
    assert url_path(CALL, key) == path


@pytest.mark.parametrize("key", ["/", "/a", "a//b", "a/../b", "..", ".", "./", "a/.", "a\0", "\ud800", "a//"])
def test_key_that_is_no_path(key: str) -> None:
    """A key that a server would resolve or cut is refused with the name of the call."""
    with pytest.raises(UnsafePathError, match="STORE read of /name failed"):
        url_path(CALL, key)


@pytest.mark.parametrize(
    ("status", "cls", "retryable"),
    [
        (401, AccessDeniedError, False),
        (404, NotFoundError, False),
        (418, StorageError, False),
        (429, ThrottledError, True),
        (500, ServiceError, True),
        (507, StorageError, False),
        (599, ServiceError, True),
    ],
)
def test_status_is_an_error(status: int, cls: type[StorageError], *, retryable: bool) -> None:
    """A status has a class, an advice and the time to wait; the provider's own rows come first."""
    error = status_error(CALL, status, {"retry-after": "7"}, "no such thing")
    assert type(error) is cls
    assert (error.status, error.retry_after, error.retryable) == (status, 7.0, retryable)
    assert f"the server answered {status} (no such thing); " in str(error)
    own = status_error(CALL, status, {}, errors={status: (ServiceError, "call us")})
    assert type(own) is ServiceError
    assert str(own).endswith(f"{status}; call us")


def test_retry_after() -> None:
    """`Retry-After` is a number or a date; a date that has passed asks for no wait, another text for nothing."""
    assert retry_after_of({"retry-after": " 12 "}) == 12.0
    assert 50 < (retry_after_of({"retry-after": formatdate(time() + 60, usegmt=True)}) or 0) <= 60
    assert retry_after_of({"retry-after": formatdate(time() - 60, usegmt=True)}) == 0.0
    assert [retry_after_of({"retry-after": text}) for text in ("", "-1", "soon", "1e9", "²")] == [None] * 5


class Events(XMLParser):
    """Notes all that it is told."""

    every_start = True

    def __init__(self, *, namespaces: bool) -> None:
        super().__init__(namespaces=namespaces)
        self.seen: list[object] = []

    def attributes(self, name: str, values: dict[str, str]) -> None:
        self.seen.append((name, values))

    def leaf(self, name: str, parent: str, text: str) -> None:
        self.seen.append((name, parent, text))

    def branch(self, name: str) -> None:
        self.seen.append(name)


@pytest.mark.parametrize("prefix", ["D:", "ns0:", ""])
def test_names_of_xml_are_expanded(prefix: str) -> None:
    """With namespaces, the prefixes of a document make no difference; each start is told."""
    declared = f"xmlns:{prefix[:-1]}" if prefix else "xmlns"
    document = (
        f'<{prefix}a {declared}="DAV:" xmlns:x="urn:x"><{prefix}b x:k="1" l="2">t</{prefix}b><c xmlns=""/></{prefix}a>'
    )
    events = Events(namespaces=True)
    for character in document:
        events.feed(character.encode())
    events.close()
    assert events.root == "{DAV:}a"
    assert events.seen == [
        ("{DAV:}a", {}),
        ("{DAV:}b", {"{urn:x}k": "1", "l": "2"}),
        ("{DAV:}b", "{DAV:}a", "t"),
        ("c", {}),
        ("c", "{DAV:}a", ""),
        "{DAV:}a",
    ]


async def test_host_is_added(http: HTTP) -> None:
    """A request without `host` gets that of its URL; one that is given is kept."""
    async with ScriptedServer(answer(body=b"x"), answer(body=b"x")) as server:
        for headers in ({}, {"host": "example.org"}):
            response = await http.send(CALL, "GET", f"{server.url}/path", headers)
            assert await response.read() == b"x"
            response.close()
    given, kept = (request.headers["host"] for request in server.requests)
    assert (given, kept) == (server.url.partition("://")[2], "example.org")


@pytest.mark.parametrize(
    ("url", "part", "shown"),
    [
        ("http://127.0.0.1:9/a b", "path", "' '"),
        ("http://127.0.0.1:9/é", "path", r"'\\xe9'"),
        ("http://127.0.0.1:9/a?b=c d", "query", "' '"),
        ("http://127.0.0.1:9/a\r\nX-Evil: 1", "path", r"'\\r'"),
        ("http://hö:9/", "host", r"'\\xf6'"),
        ("http://a b/", "host", "' '"),
    ],
)
async def test_url_that_is_not_escaped(http: HTTP, url: str, part: str, shown: str) -> None:
    """A URL that is not escaped is an error that names its part, and shows one character of it."""
    with pytest.raises(NetworkError, match=f"the {part} of the URL has {shown} in it") as raised:
        await http.send(CALL, "GET", url, {})
    assert not raised.value.retryable
    assert "Evil" not in str(raised.value)
