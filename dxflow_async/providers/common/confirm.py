"""Checks that an answer passes before it is believed.

A status of 200 alone proves nothing: a captive portal, a load balancer's maintenance page or a broken proxy may answer
in the place of the service, and looks like success. Every provider passes its answers through these checks:

- the status is one that the protocol defines for the request;
- a write is confirmed by the protocol's own sign (an ETag, a version, an offset), or else by a look at the object;
- a read has the version and the size that were reported before;
- a listing is of the kind that was requested, and has no key outside of the prefix.

A *missing* header leaves a question, which is answered by another request. A *contradiction* is always an error.
It may be retried, because the next answer may come from the service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from dxflow_async.exceptions import PreconditionFailedError, ServiceError, StorageError, UnsupportedError
from dxflow_async.providers.common.etags import if_match, same_etag
from dxflow_async.providers.common.fields import IgnoredRangeError, extent_of, total_of
from dxflow_async.providers.common.key_path import all_start_with
from dxflow_async.providers.common.listing_orders import by_directories
from dxflow_async.providers.contract import Entry, ObjectColumns, Page, Provider, RangeIgnoredError
from dxflow_async.providers.http import HTTP, Call, HTTPReader, Response, read_error_body

__all__ = [
    "FEW_ATTEMPTS",
    "check_names",
    "check_status",
    "check_unchanged",
    "check_version",
    "contradiction",
    "disagreement",
    "entries_after",
    "extent",
    "has_body",
    "not_the_service",
    "range_ignored",
    "read_body",
    "size_of_version",
]

FEW_ATTEMPTS = 5
"""The attempts at a request whose answer is not the service's: more than these hardly ever bring another answer."""

_BODY_SIZE = 64 << 10


def not_the_service(call: Call, seen: str, status: int | None = None) -> StorageError:
    """Returns the error for an answer that the service would not give.

    Args:
        call: the storage call, for the message.
        seen: what is wrong with the answer, in a few words.
        status: of the answer, if it has one.

    Returns:
        A `ServiceError` that is retried a few times.

    Example:
        >>> not_the_service(Call("DAV", "list", "/a/"), "no XML", 200).retryable
        True
    """
    text = (
        f"the answer is not one of the service ({seen}); a sign-in page, a proxy or another server may have answered "
        "in its place: check the network and the endpoint"
    )
    return call.error(ServiceError, text, status=status, max_attempts=FEW_ATTEMPTS)


def contradiction(call: Call, seen: str, status: int | None = None) -> StorageError:
    """Returns the error for an answer that contradicts what is known.

    Args:
        call: the storage call, for the message.
        seen: the contradiction: what the answer says, and what was told before.
        status: of the answer, if it has one.

    Returns:
        A `ServiceError` that is retried a few times.

    Example:
        >>> str(contradiction(Call("DAV", "read", "/a"), "4 bytes, where 5 were told before"))[:52]
        'DAV read of /a failed: the answer contradicts what w'
    """
    text = f"the answer contradicts what was looked up ({seen}); try again"
    return call.error(ServiceError, text, status=status, max_attempts=FEW_ATTEMPTS)


def check_status(call: Call, response: Response, *allowed: int) -> None:
    """Closes a response and raises if its status is not one that the protocol defines for the request.

    Args:
        call: the storage call, for errors.
        response: the answer. It stays open if its status is allowed.
        allowed: the HTTP statuses that the protocol defines.

    Raises:
        ServiceError: the status is not `allowed`.

    Example:
        >>> check_status(call, response, 200, 206)
    """
    if response.status not in allowed:
        response.close()
        expected = " or ".join(map(str, allowed))
        raise not_the_service(call, f"status {response.status} where {expected} was expected", response.status)


async def has_body(response: Response) -> bool:
    """Returns whether there is a body where the protocol has none; reads it, and releases the connection.

    Args:
        response: the answer. It is closed; at most 64 KiB of its body are read.

    Returns:
        True if the body has a byte.

    Example:
        >>> if await has_body(response):
        ...     raise not_the_service(call, "a body, where none was expected", response.status)
    """
    if response.status == 204 or response.headers.get("content-length") == "0":
        response.close()
        return False
    return bool(await read_error_body(response, _BODY_SIZE))


async def read_body(call: Call, response: Response, http: HTTP, max_size: int) -> bytes:
    """Reads the whole body of a small answer.

    Args:
        call: the storage call, for errors.
        response: the answer. It is closed.
        http: the client that the answer came by.
        max_size: the most bytes that the body may have.

    Returns:
        The body.

    Raises:
        NetworkError, StallTimeoutError: the connection broke.
        ServiceError: the body has more than `max_size` bytes.

    Example:
        >>> document = parse_xml(await read_body(call, response, http, 1 << 20))
    """
    pieces, size = [], 0
    async with HTTPReader(Entry(""), -1, http, call, response) as reading:
        while piece := await reading.read():
            pieces.append(piece)
            size += len(piece)
            if size > max_size:
                raise not_the_service(call, f"over {max_size} bytes", response.status)
    return b"".join(pieces)


def check_names(call: Call, prefix: str, entries: Iterable[Entry]) -> None:
    """Refuses a page of a listing that has keys outside of the prefix.

    Args:
        call: the listing, for errors.
        prefix: as it was requested.
        entries: of the page.

    Raises:
        ServiceError: a key does not start with `prefix`, or a directory does not end in a slash.

    Example:
        >>> check_names(Call("DAV", "list", "/a/"), "a/", [Entry("a/b.csv"), Entry("a/c/", directory=True)])
    """
    if isinstance(entries, ObjectColumns) and all_start_with(prefix, entries.keys):
        return  # its directories are those that end in a slash
    for entry in entries:
        if not entry.key.startswith(prefix):
            raise contradiction(call, f"the listing names /{entry.key:.200}, which is not below /{prefix}")
        if entry.directory and not entry.key.endswith("/"):
            raise contradiction(call, f"the listing has /{entry.key:.200} as a directory, without a slash at its end")


def entries_after(provider: Provider, call: Call, page: Page, after: str) -> Page:
    """Returns a page without the entries up to a key, which a service may include.

    Raises:
        UnsupportedError: the page ends before the key, so the service ignores where it is to begin; or it is empty and
            not the last one, which shows nothing. The provider's features have no `list_after` from now on.
    """
    entries, features = page.entries, provider.features
    orders: Sequence[Callable[[str], str]] = (by_directories,) if features.directory_order else (str,)
    if features.directory_order is None and not features.key_order:
        orders = (str, by_directories)  # what is behind the key in one of them may be so
    starts = [(order, order(after)) for order in orders]
    if (entries and all(order(entries[0].key) > start for order, start in starts)) or (
        not entries and page.cursor is None
    ):
        return page
    if not entries or all(order(entries[-1].key) < start for order, start in starts):
        owner = provider.origin
        owner.features = replace(owner.features, list_after=False)
        raise call.error(UnsupportedError, "the service does not begin the listing at the requested key")
    behind = [entry for entry in entries if any(order(entry.key) > start for order, start in starts)]
    return Page(behind, page.cursor)


async def extent(
    provider: Provider,
    call: Call,
    key: str,
    response: Response,
    span: tuple[int, int | None],
    version: tuple[str | None, Entry | None],
) -> tuple[int, int]:
    """Returns the size of an object, and the size of the range of it that the answer has.

    If the answer does not tell the size, it is the one that the listing reported for this version, or that `stat`
    reports.

    Args:
        provider: the provider.
        call: the read, for errors.
        key: the object's.
        response: the answer.
        span: the first byte and the end of the range; the end is None for the rest of the object.
        version: the etag of the answer, and what a listing reported about the object.

    Returns:
        The size of the whole object and that of the range, in bytes.

    Raises:
        ValueError: the answer has another range than was requested.
        RangeIgnoredError: it has the whole object instead, not for the first time; see `range_ignored`.
        PreconditionFailedError: the object has no byte in the range.
        ServiceError: it has the whole object for the first time; or the object has another version by now.

    Example:
        >>> size, length = await extent(self, call, key, response, (start, end), (etag, listed))
    """
    status, headers, (start, end), (etag, listed) = response.status, response.headers, span, version
    known = None
    if status in (200, 206):
        told = total_of(status, headers)
        if told is None:
            known = await size_of_version(provider, call, key, etag, listed)
        elif status == 200 and not start and end is None:
            return told, told
    try:
        found = extent_of(status, headers, start, end, known)
    except IgnoredRangeError:
        if etag is None:
            raise  # it need not be the service's answer
        size = total_of(status, headers) if known is None else known
        if size is not None and start >= size:
            raise call.error(
                PreconditionFailedError, "the object is shorter than the range; start again", status=416
            ) from None
        raise range_ignored(provider, call, status) from None
    if status == 206:
        provider.origin.range_support.worked()
    return found


def range_ignored(provider: Provider, call: Call, status: int) -> StorageError:
    """Notes that the whole object came instead of a range, and returns the error to raise.

    One such answer may be a stray one, so the read is tried again. After the second one in a row the service counts as
    one without ranges for an hour. If it still is one then, objects that are read in parts are not begun anew.

    Args:
        provider: its features have no `ranges` once the service counts as one without them.
        call: the read, for the message.
        status: of the answer.

    Returns:
        A `RangeIgnoredError`, which makes the engine plan to read the whole object, where the service was found to be
        one without ranges just now; else a `ServiceError` that is retried.

    Example:
        >>> if start and response.status == 200:
        ...     raise range_ignored(self, call, response.status)
    """
    owner = provider.origin
    known, believed = owner.range_support.confirmed, owner.range_support.failed()
    if believed:
        owner.features = replace(owner.features, ranges=False)
    if known or not believed:
        return contradiction(call, "the whole object, where a range of it was requested", status)
    text = "the server sent the whole object instead of the requested range; objects are read whole from now on"
    return call.error(RangeIgnoredError, text, status=status)


async def size_of_version(provider: Provider, call: Call, key: str, etag: str | None, listed: Entry | None) -> int:
    """Returns the size of an object whose answer does not tell it: that of the listing, or the one `stat` reports.

    Args:
        provider: looks the object up.
        call: the read, for errors.
        key: the object's.
        etag: of the answer, if it has one.
        listed: what a listing reported about the object, if anything.

    Returns:
        The size in bytes.

    Raises:
        ServiceError: the object has another version than `etag` by now.
        StorageError: as `Provider.stat`.

    Example:
        >>> size = await size_of_version(self, call, key, parse_etag(response.headers.get("etag")), listed)
    """
    if listed is not None:
        named = None not in (etag, listed.etag)
        if (named and same_etag(listed.etag, etag)) or not (named or provider.features.versions):
            return listed.size
    now = await provider.stat(key)
    if etag is not None and (now.etag is None or not same_etag(now.etag, etag)):
        raise contradiction(call, "another version")
    return now.size


async def check_version(provider: Provider, call: Call, key: str, asked: str | None, seen: str | None) -> None:
    """Checks that an answer is of the version that was requested: servers and proxies may ignore `If-Match`.

    Args:
        provider: the provider.
        call: the read, for errors.
        key: the object's.
        asked: the etag that was requested; None for any.
        seen: the etag of the answer, if it has one.

    Raises:
        PreconditionFailedError: the object was replaced.
        ServiceError: the answer is about something else.
        StorageError: as `Provider.stat`.

    Example:
        >>> await check_version(self, call, key, etag, parse_etag(response.headers.get("etag")))
    """
    if same_etag(asked, seen):
        return
    now = await provider.stat(key)
    if asked is None or await provider.same_version(asked, now):
        if now.etag is not None and same_etag(now.etag, seen):
            return
        raise contradiction(call, "another version")
    raise call.error(PreconditionFailedError, "the object was replaced in the meantime; start again")


async def check_unchanged(provider: Provider, call: Call, source: Entry) -> None:
    """Checks after a copy within a service that the source still is the version that was requested.

    Only a source whose etag could not be sent as a condition is looked up.

    Args:
        provider: looks the source up.
        call: the copy, for errors.
        source: as it was before the copy.

    Raises:
        PreconditionFailedError: it was replaced.
        StorageError: as `Provider.stat`.

    Example:
        >>> await check_unchanged(self, call, source)
    """
    if source.etag is None or if_match(source.etag) is not None:
        return
    if not same_etag((await provider.stat(source.key)).etag, source.etag):
        raise call.error(PreconditionFailedError, "the object was replaced while it was copied; start again")


def disagreement(looked_up: Entry, seen: Entry) -> str | None:
    """Returns how two answers about one object contradict each other; None if they do not.

    Only what both report is compared.

    Args:
        looked_up: what the first answer said of the object.
        seen: what the later one said.

    Returns:
        The contradiction in a few words, for `contradiction`; None.

    Example:
        >>> disagreement(Entry("a", size=5), Entry("a", size=4))
        '4 bytes, where 5 were told before'
    """
    if looked_up.size != seen.size:
        return f"{seen.size} bytes, where {looked_up.size} were told before"
    if not same_etag(looked_up.etag, seen.etag):
        return "another version"
    one, other = looked_up.digest, seen.digest
    same_kind = one is not None and other is not None and one.algorithm == other.algorithm
    if _differ(looked_up.crc32c, seen.crc32c) or (same_kind and one != other):
        return "another checksum"
    return None


def _differ(one: Any, other: Any) -> bool:
    return None not in (one, other) and one != other
