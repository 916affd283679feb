"""Listings that are not what was requested, at every service: circles, other shapes, names of other places."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from dxflow_async import AWSSettings, AzureSettings, GCPSettings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ServiceError
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP

Pages = Callable[[str], Any]
"""Returns the page for a token, which is empty for the first page."""

SERVICES = ["aws", "azure", "gcp"]


def s3_page(names: list[str], token: str, prefixes: list[str]) -> str:
    """A page of ListObjectsV2."""
    rows = "".join(f"<Contents><Key>{name}</Key><Size>1</Size></Contents>" for name in names)
    rows += "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in prefixes)
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return f"<ListBucketResult><IsTruncated>{str(bool(token)).lower()}</IsTruncated>{rows}{more}</ListBucketResult>"


def azure_page(names: list[str], token: str, prefixes: list[str]) -> str:
    """A page of List Blobs."""
    size = "<Properties><Content-Length>1</Content-Length><Etag>1</Etag></Properties>"
    rows = "".join(f"<Blob><Name>{name}</Name>{size}</Blob>" for name in names)
    rows += "".join(f"<BlobPrefix><Name>{name}</Name></BlobPrefix>" for name in prefixes)
    return f"<EnumerationResults><Blobs>{rows}</Blobs><NextMarker>{token}</NextMarker></EnumerationResults>"


def google_page(names: list[str], token: str, prefixes: list[str]) -> str:
    """A page of objects, as JSON."""
    items = [{"name": name, "size": "1", "generation": "1"} for name in names]
    page = {"kind": "storage#objects", "items": items, "prefixes": prefixes, "nextPageToken": token}
    return json.dumps(page)


PAGE = {"aws": s3_page, "azure": azure_page, "gcp": google_page}
TOKEN = {"aws": "continuation-token", "azure": "marker", "gcp": "pageToken"}


@asynccontextmanager
async def listing(service: str, pages: Callable[[str], str], http: HTTP, threads: Threads) -> AsyncIterator[Provider]:
    """A provider whose service answers everything with the page for a token."""

    async def answer(request: web.Request) -> web.Response:
        kind = "application/json" if service == "gcp" else "application/xml"
        return web.Response(text=pages(request.query.get(TOKEN[service], "")), content_type=kind)

    runner = web.ServerRunner(web.Server(answer))  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield _provider(service, url, http, threads)
    finally:
        await runner.cleanup()


def _provider(service: str, url: str, http: HTTP, threads: Threads) -> Provider:
    if service == "aws":
        return AWSProvider(AWSSettings(endpoint=url, access_key="AKIDEXAMPLE", secret_key="s"), http, threads)
    if service == "azure":
        return AzureProvider(AzureSettings(endpoint=url, account="account1", account_key="a2V5"), http, threads)
    return GCPProvider(GCPSettings(endpoint=url), http, threads)


async def names(provider: Provider, *, recursive: bool, most: int = 40) -> list[str]:
    """The names of a listing, which may have `most` pages."""
    found, cursor = list[str](), None
    for _ in range(most):
        page = await provider.list_page("bucket/dir/", recursive=recursive, cursor=cursor)
        found += [entry.key.removeprefix("bucket/") for entry in page.entries]
        if (cursor := page.cursor) is None:
            return found
    raise AssertionError("the listing has no end")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("following", [lambda token: "t", lambda token: {"": "t", "t": "u", "u": "v", "v": "t"}[token]])
async def test_tokens_in_a_circle(service: str, following: Callable[[str], str], http: HTTP, threads: Threads) -> None:
    """A page that names an earlier page as the next one is an error, however long the circle is."""

    def page(token: str) -> str:
        return PAGE[service]([f"dir/{token}-{number}" for number in range(2)], following(token), [])

    async with listing(service, page, http, threads) as provider:
        with pytest.raises(ServiceError, match=r"circle|next"):
            await names(provider, recursive=True)


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize("service", SERVICES)
async def test_ignored_tokens(service: str, http: HTTP, threads: Threads, *, recursive: bool) -> None:
    """The first page again and again, each time with a new token, is an error and no endless listing."""
    numbers = iter(range(1000))
    async with listing(
        service, lambda _: PAGE[service](["dir/a", "dir/b"], f"token-{next(numbers)}", []), http, threads
    ) as provider:
        with pytest.raises(ServiceError, match=r"circle|the page before"):
            await names(provider, recursive=recursive)


@pytest.mark.parametrize("service", SERVICES)
async def test_names_that_are_not_grouped(service: str, http: HTTP, threads: Threads) -> None:
    """A service that ignores the delimiter is listed by directory all the same, each name once, over several pages."""
    pages = {
        "": (["dir/a", "dir/b/1", "dir/b/2"], "1"),
        "1": (["dir/b/3/4", "dir/b0"], "2"),
        "2": (["dir/c/1"], "3"),
        "3": (["dir/c/2"], ""),
    }
    async with listing(service, lambda token: PAGE[service](*pages[token], []), http, threads) as provider:
        assert await names(provider, recursive=False) == ["dir/a", "dir/b/", "dir/b0", "dir/c/"]


@pytest.mark.parametrize("prefix", ["dir/b", "elsewhere/", ""])
@pytest.mark.parametrize("service", SERVICES)
async def test_prefixes_that_are_no_directories(service: str, prefix: str, http: HTTP, threads: Threads) -> None:
    """A common prefix without a slash, or outside of the directory, is an error."""
    async with listing(service, lambda _: PAGE[service]([], "", [prefix]), http, threads) as provider:
        with pytest.raises(ServiceError):
            await names(provider, recursive=False)


@pytest.mark.parametrize("name", ["elsewhere/x", "dir", "Dir/x", ""])
@pytest.mark.parametrize("service", SERVICES)
async def test_names_outside_of_the_prefix(service: str, name: str, http: HTTP, threads: Threads) -> None:
    """A name that was not to be listed makes the page an error, so that nobody acts on it."""
    async with listing(service, lambda _: PAGE[service](["dir/a", name], "", []), http, threads) as provider:
        with pytest.raises(ServiceError):
            await names(provider, recursive=True)


OTHERS = {
    "page": "<html><body>Welcome</body></html>",
    "empty": "",
    "null": "null",
    "list": "[]",
    "text": '"x"',
    "error": '{"error": {"code": 503, "message": "backend"}}',
    "message": '{"message": "maintenance"}',
    "no kind": "{}",
    "other kind": '{"kind": "storage#buckets", "items": []}',
    "items": '{"kind": "storage#objects", "items": {"a": 1}}',
    "item": '{"kind": "storage#objects", "items": ["a"]}',
    "size": '{"kind": "storage#objects", "items": [{"name": "dir/a", "size": "-1"}]}',
    "name": '{"kind": "storage#objects", "items": [{"name": 5, "size": "1"}]}',
    "prefix": '{"kind": "storage#objects", "prefixes": [5]}',
    "prefixes": '{"kind": "storage#objects", "prefixes": "dir/"}',
    "token": '{"kind": "storage#objects", "items": [], "nextPageToken": 5}',
    "s3 error": "<Error><Code>InternalError</Code></Error>",
    "other XML": "<rss><channel/></rss>",
    "cut": "<EnumerationResults><Blobs><Blob><Name>dir/a</Name>",
    "no content": "<EnumerationResults></EnumerationResults>",
}


@pytest.mark.parametrize("text", list(OTHERS.values()), ids=list(OTHERS))
@pytest.mark.parametrize("service", SERVICES)
async def test_something_else_is_no_listing(service: str, text: str, http: HTTP, threads: Threads) -> None:
    """Status 200 with another document is an error and never an empty directory, on the first page and later."""
    async with listing(service, lambda _: text, http, threads) as provider:
        with pytest.raises(ServiceError):
            await names(provider, recursive=True)
    async with listing(
        service, lambda token: text if token else PAGE[service](["dir/a"], "t", []), http, threads
    ) as provider:
        with pytest.raises(ServiceError):
            await names(provider, recursive=False)


async def test_empty_lists_of_google(http: HTTP, threads: Threads) -> None:
    """Servers that send null for an empty list, and an empty text for no token, are listed."""
    page = '{"kind": "storage#objects", "items": null, "prefixes": null, "nextPageToken": ""}'
    async with listing("gcp", lambda _: page, http, threads) as provider:
        assert await names(provider, recursive=True) == []
