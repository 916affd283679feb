"""Lists objects page by page: with ListObjectsV2, or with ListObjects where a service has only that.

A service of version 1 refuses `list-type=2`, or ignores it and says that there is more without a continuation token.
From then on, a page continues behind a name: the `NextMarker` of the page before, or its last entry where the page has
none. Services differ in whether a marker that is a common prefix skips what it stands for, so the marker lies behind
all names that begin with it, and entries that are repeated are dropped.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and API_ListObjects.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.dialects import Ability, Dialect
from dxflow_async.providers.aws.errors import UNKNOWN_HEADER_CODES
from dxflow_async.providers.common.confirm import check_names, contradiction, entries_after, not_the_service
from dxflow_async.providers.common.key_path import has_odd_segment
from dxflow_async.providers.common.page_tokens import PageToken, grouped
from dxflow_async.providers.contract import Entry, Page, keys_of, page_size
from dxflow_async.providers.http import Call, HTTPReader

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["list_buckets", "list_objects", "list_objects_after"]

_BEHIND = "\U0010ffff"
"""The last character: a name with it at its end is behind all names that begin alike."""

_INSTEAD = "listings continue by name (ListObjects)"


class _Marker(str):
    """The name behind which a page of version 1 begins."""

    __slots__ = ()


async def list_objects(provider: AWSProvider, prefix: str, *, recursive: bool, cursor: Any | None) -> Page:
    """Returns one page of a bucket; see `Provider.list_page`."""
    dialect = provider.dialect
    if cursor is None and not dialect.allows(Ability.LIST_V2):
        cursor = _Marker()
    try:
        return await _list_page(provider, prefix, recursive=recursive, cursor=cursor)
    except StorageError as error:
        if cursor is not None or dialect.has(Ability.LIST_V2) or not _may_be_missing(error):
            raise
        reason = f"{error.status} {error.code or ''}".strip()
    page = await _list_page(provider, prefix, recursive=recursive, cursor=_Marker())
    provider.requests.refused(Ability.LIST_V2, reason, _INSTEAD)
    return page


async def list_objects_after(provider: AWSProvider, prefix: str, after: str) -> Page:
    """Returns the first page of the keys above one; see `Provider.list_after`."""
    call, dialect = Call(provider.name, "list", f"/{prefix}"), provider.dialect
    reason = None
    if dialect.allows(Ability.LIST_V2):
        try:
            page = await _second_after(provider, call, prefix, after)
        except StorageError as error:
            if dialect.has(Ability.LIST_V2) or not _may_be_missing(error):
                raise
            page, reason = None, f"{error.status} {error.code or ''}".strip()
        if page is not None:
            return entries_after(provider, call, page, after)
        reason = reason or "no NextContinuationToken"
    marker = _Marker(after.partition("/")[2])
    page = await _list_page(provider, prefix, recursive=True, cursor=marker)
    if reason is not None:
        provider.requests.refused(Ability.LIST_V2, reason, _INSTEAD)
    return entries_after(provider, call, page, after)


async def _second_after(provider: AWSProvider, call: Call, prefix: str, after: str) -> Page | None:
    """Requests a page of version 2; returns None if the service does not say where it goes on."""
    bucket, _, rest = prefix.partition("/")
    query = _query(rest, None, None, recursive=True)
    query |= {"max-keys": str(page_size(recursive=True, first=False)), "start-after": after.removeprefix(f"{bucket}/")}
    parser = await _parse(provider, call, bucket, rest, query)
    entries = parser.entries
    check_names(call, prefix, entries)
    if (differs := parser.contradiction(prefix=rest, recursive=True, token=None)) is not None:
        raise contradiction(call, differs)
    if parser.truncated and parser.token is None:
        if parser.second:
            raise contradiction(call, "it goes on, but does not say where")
        return None
    return Page(entries, parser.token)


def _may_be_missing(error: StorageError) -> bool:
    """Returns whether a refusal may mean that the service has no ListObjectsV2."""
    return error.status in (405, 501) or (error.status == 400 and error.code in UNKNOWN_HEADER_CODES)


async def _list_page(provider: AWSProvider, prefix: str, *, recursive: bool, cursor: Any | None) -> Page:
    bucket, _, rest = prefix.partition("/")
    marker = cursor if isinstance(cursor, _Marker) else None
    token = cursor if marker is None else None
    call = Call(provider.name, "list", f"/{prefix}")
    parser = await _parse(provider, call, bucket, rest, _query(rest, marker, token, recursive=recursive))
    entries = parser.entries
    check_names(call, prefix, entries)
    shown, directory = (entries, "") if recursive else grouped(entries, prefix, getattr(token, "directory", ""))
    _learn_names(provider.dialect, entries)
    if (differs := parser.contradiction(prefix=rest, recursive=recursive, token=token)) is not None:
        raise contradiction(call, differs)
    if marker is None and parser.token is not None:
        following = PageToken.after(call, parser.token, token, entries, directory=directory)
        provider.dialect.accept(Ability.LIST_V2)
        return Page(shown, following)
    if not parser.truncated:
        return Page(_behind(shown, len(bucket) + 1, marker), None)
    if marker is None and parser.second:
        raise contradiction(call, "it goes on, but does not say where")
    behind = _next_marker(parser, entries, len(bucket) + 1, None if recursive else rest)
    if marker is None:
        provider.requests.refused(Ability.LIST_V2, "no NextContinuationToken", _INSTEAD)
    elif behind.encode() <= marker.encode():
        raise contradiction(call, "the page names itself as the next page")
    return Page(_behind(shown, len(bucket) + 1, marker), _Marker(behind))


def _learn_names(dialect: Dialect, entries: Sequence[Entry]) -> None:
    """Notes which odd names a page has. One look at all names together answers for most pages."""
    if dialect.known(Ability.ANY_NAMES) and dialect.known(Ability.BACKSLASHES):
        return
    keys = keys_of(entries)
    names = "\n".join(keys)
    if ("//" in names or "/." in names) and any(map(has_odd_segment, keys)):
        dialect.accept(Ability.ANY_NAMES)
    if "\\" in names:
        dialect.accept(Ability.BACKSLASHES)


def _query(prefix: str, marker: str | None, token: str | None, *, recursive: bool) -> dict[str, str]:
    """Returns the query for a page; a marker, which may be empty, asks for version 1."""
    size = str(page_size(recursive=recursive, first=not (marker or token)))
    query = {"encoding-type": "url", "prefix": prefix, "max-keys": size}
    if not recursive:
        query["delimiter"] = "/"
    if marker is None:
        query["list-type"] = "2"
    elif marker:
        query["marker"] = marker
    if token is not None:
        query["continuation-token"] = token
    return query


async def _parse(provider: AWSProvider, call: Call, bucket: str, rest: str, query: dict[str, str]) -> s3xml.ListParser:
    response = await provider.requests.send(call, "GET", bucket, query=query)
    parser, http = s3xml.ListParser(bucket, rest), provider.requests.http
    async with HTTPReader(Entry(call.path), -1, http, call, response) as reading:
        try:
            async for chunk in reading:
                parser.feed(chunk)
            parser.close()
        except s3xml.MalformedXMLError as error:
            raise not_the_service(call, str(error), response.status) from error
    return parser


def _behind(entries: Sequence[Entry], start: int, marker: str | None) -> Sequence[Entry]:
    """Returns the entries behind a marker; their names begin at `start` in their keys."""
    if not marker:
        return entries
    first = marker.encode()
    return [entry for entry in entries if entry.key[start:].encode() > first]


def _next_marker(parser: s3xml.ListParser, entries: Sequence[Entry], start: int, prefix: str | None) -> str:
    """Returns the name behind which the next page begins.

    Args:
        parser: has parsed the page.
        entries: of the page.
        start: where names begin in keys.
        prefix: of a listing with common prefixes; None if it has none.
    """
    last = entries[-1].key[start:] if entries else None
    told = parser.next_marker(last)
    if told is not None:
        return told
    assert last is not None, "a page without names and without a marker is malformed"
    is_common = prefix is not None and last.endswith("/") and last != prefix
    return last + _BEHIND if is_common else last


async def list_buckets(provider: AWSProvider, prefix: str) -> Page:
    """Returns the account's buckets whose names start with `prefix`, as directories."""
    call = Call(provider.name, "list", "/")
    answer = await provider.requests.send(call, "GET", "")
    document = await provider.requests.document(call, answer, "ListAllMyBucketsResult")
    names = sorted(row["Name"] for row in document.rows.get("Bucket", ()) if row.get("Name", "").startswith(prefix))
    return Page([Entry(f"{name}/", directory=True) for name in names], None)
