"""Entity tags: quoted, bare, weak, and changed by proxies."""

from __future__ import annotations

import pytest

from dxflow_async.exceptions import PreconditionFailedError, ServiceError
from dxflow_async.providers.aws.xml import complete_body
from dxflow_async.providers.common.etags import if_match, parse_etag, same_etag
from dxflow_async.providers.contract import Entry, ObjectOptions, Provider
from tests.providers.connected_providers import Connect, ConnectAzure
from tests.scripted_server import ScriptedServer, answer

WEAK = 'W/"abc"'
XML = "application/xml"
COPIED = b"<CopyObjectResult><ETag>&quot;1&quot;</ETag></CopyObjectResult>"


@pytest.mark.parametrize(
    ("sent", "kept", "condition"),
    [
        ('"abc"', "abc", '"abc"'),
        ("abc", "abc", '"abc"'),
        (' "abc-10" ', "abc-10", '"abc-10"'),
        (WEAK, WEAK, None),
        ("W/abc", "W/abc", None),
        ('"abc-gzip"', "abc-gzip", None),
        ('"abc;gzip"', "abc;gzip", None),
        ('"abc--gzip"', "abc--gzip", None),
        ('"abc-br"', "abc-br", None),
        ('W/"abc-gzip"', 'W/"abc-gzip"', None),
        ('"a\nb"', "a\nb", None),
        ('""', None, None),
        ('W/""', None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_only_strong_etags_are_conditions(sent: str | None, kept: str | None, condition: str | None) -> None:
    """A strong ETag is kept without quotes, and is a condition; any other is kept as it came, and is none."""
    assert parse_etag(sent) == kept
    assert if_match(kept) == condition


@pytest.mark.parametrize("other", ["abc", '"abc"', WEAK, "abc-gzip", "abc;gzip", 'W/"abc-gzip"', None])
def test_marks_of_proxies_do_not_make_versions_differ(other: str | None) -> None:
    """An ETag is the same version whether a proxy weakened it, added a suffix to it, or removed it."""
    assert same_etag("abc", other)
    assert same_etag(other, WEAK)
    assert other is None or not same_etag("abd", other)


@pytest.mark.parametrize("etag", ["5d41402abc4b2a76b9719d911017c592", 'W/"5d41402abc4b2a76b9719d911017c592"'])
def test_parts_are_named_by_their_own_tags(etag: str) -> None:
    """A part's ETag that a proxy weakened is sent to S3 as S3 knows it."""
    assert b"<ETag>&quot;5d41402abc4b2a76b9719d911017c592&quot;</ETag>" in complete_body([(1, etag, None)])


def provider_of(kind: str, connect: Connect, connect_azure: ConnectAzure, url: str) -> Provider:
    return connect(url) if kind == "aws" else connect_azure(url)


@pytest.mark.parametrize("kind", ["aws", "azure"])
@pytest.mark.parametrize("other", [WEAK, '"abc"', '"abc-gzip"'])
async def test_weak_etag_is_compared(connect: Connect, connect_azure: ConnectAzure, kind: str, other: str) -> None:
    """A read at a version with a weak ETag sends no `If-Match`, and accepts the same version."""
    part = answer("206 Partial Content", b"de", Content_Range="bytes 3-4/9", ETag=other)
    async with ScriptedServer(part) as server:
        reading = await provider_of(kind, connect, connect_azure, server.url).read("bkt/key", 3, 5, etag=WEAK)
        assert bytes(await reading.read()) == b"de"
        await reading.aclose()
        assert "if-match" not in server.requests[0].headers


@pytest.mark.parametrize("kind", ["aws", "azure"])
@pytest.mark.parametrize(
    ("asked", "now", "error"),
    [
        (WEAK, '"new"', PreconditionFailedError),
        ("abc", '"new"', PreconditionFailedError),
        ("abc", '"abc"', ServiceError),
    ],
)
async def test_another_version_is_noticed(
    connect: Connect, connect_azure: ConnectAzure, kind: str, asked: str, now: str, error: type[Exception]
) -> None:
    """An answer of another version fails, also where the server ignores `If-Match` and nobody may list."""
    part = answer("206 Partial Content", b"de", Content_Range="bytes 3-4/9", ETag='"new"', x_amz_request_id="1")
    mark = b"x-amz-request-id: 1" if kind == "aws" else b"x-ms-request-id: 1"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + mark + b"\r\nETag: " + now.encode() + b"\r\n\r\n"
    listing = [answer("403 Forbidden")] if kind == "aws" else []
    async with ScriptedServer(part, head, *listing) as server:
        with pytest.raises(error):
            await provider_of(kind, connect, connect_azure, server.url).read("bkt/key", 3, 5, etag=asked)


@pytest.mark.parametrize(("now", "same"), [(WEAK, True), ('"abc"', True), ('"new"', False)])
async def test_copy_of_a_weak_etag_is_looked_at_after(connect: Connect, now: str, *, same: bool) -> None:
    """A copy whose source has a weak ETag sends no condition, and looks at the source afterwards."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nx-amz-request-id: 1\r\nETag: " + now.encode() + b"\r\n\r\n"
    async with ScriptedServer(answer(body=COPIED, Content_Type=XML), head) as server:
        copy = connect(server.url).copy(Entry("bkt/a", 9, etag=WEAK), "bkt/b", ObjectOptions())
        if same:
            assert (await copy).etag == "1"
        else:
            with pytest.raises(PreconditionFailedError, match="while it was copied"):
                await copy
        assert "x-amz-copy-source-if-match" not in server.requests[0].headers
