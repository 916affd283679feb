"""What an answer has to say before it is believed.

A status of 200 alone proves nothing: a captive portal, a load balancer's maintenance page or a broken proxy answers in
the service's place, and looks as if all had gone well. So every provider passes its answers through the checks here:

- the status is one that the protocol has for that request;
- what was written is confirmed by the protocol's own sign (an ETag, a version, an offset), or else looked up;
- what is read has the version and the size that were looked up before;
- a listing is of the kind that was asked for, and names nothing outside of the prefix.

A header that is *missing* leaves a question, which is asked in another way. A *contradiction* is always a failure. It
may be retried: the next answer may be the service's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dxflow_async.exceptions import ServiceError, StorageError
from dxflow_async.providers.common.fields import extent_of
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.providers.http import HTTP, Call, HTTPReader, Response, read_error_body

__all__ = [
    "check_names",
    "check_status",
    "contradiction",
    "disagreement",
    "extent",
    "has_body",
    "not_the_service",
    "read_body",
]

_BODY_SIZE = 64 << 10

_Version = tuple[str | None, Entry | None]


def not_the_service(call: Call, seen: str, status: int | None = None) -> StorageError:
    """The error for an answer that the service would not give; `seen` says what is wrong with it."""
    text = (
        f"the answer is not one of the service ({seen}); a sign-in page, a proxy or another server may have answered "
        "in its place: check the network and the endpoint"
    )
    return call.error(ServiceError, text, status=status)


def contradiction(call: Call, seen: str, status: int | None = None) -> StorageError:
    """The error for an answer that does not fit what is known; `seen` says both."""
    return call.error(ServiceError, f"the answer contradicts what was looked up ({seen}); try again", status=status)


def check_status(call: Call, response: Response, *allowed: int) -> None:
    """Closes a response and raises where its status is none that the protocol has for the request.

    Raises:
        ServiceError: the status is not `allowed`.
    """
    if response.status not in allowed:
        response.close()
        expected = " or ".join(map(str, allowed))
        raise not_the_service(call, f"status {response.status} where {expected} was expected", response.status)


async def has_body(response: Response) -> bool:
    """Whether a body came where the protocol has none; reads it, and gives the connection back."""
    if response.headers.get("content-length") == "0":
        response.close()
        return False
    return bool(await read_error_body(response, _BODY_SIZE))


async def read_body(call: Call, response: Response, http: HTTP, max_size: int) -> bytes:
    """The whole body of a small answer.

    Raises:
        NetworkError, StallTimeoutError: it broke off.
        ServiceError: it has more than `max_size` bytes.
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
    """Refuses a page of a listing that names something outside of what was asked for.

    Raises:
        ServiceError: a key does not start with `prefix`.
    """
    for entry in entries:
        if not entry.key.startswith(prefix):
            raise contradiction(call, f"the listing names /{entry.key:.200}, which is not below /{prefix}")


async def extent(
    provider: Provider, call: Call, key: str, response: Response, span: tuple[int, int | None], version: _Version
) -> tuple[int, int]:
    """The size of an object and that of the range of it that comes.

    Of a whole object whose length is not told, as through a proxy that packs bodies, it is what the listing said of
    this version, or what a look says.

    Args:
        provider, call, key, response: what was asked, and the answer.
        span: first byte and end of the range; no end for the rest of the object.
        version: the answer's etag, and what a listing said of the object.

    Raises:
        ValueError: another range comes than was asked for.
        ServiceError: another version is there.
    """
    (start, end), (etag, listed) = span, version
    if response.status != 200 or start or end is not None or "content-length" in response.headers:
        return extent_of(response.status, response.headers, start, end)
    if listed is not None and None not in (etag, listed.etag) and listed.etag == etag:
        return listed.size, listed.size
    now = await provider.stat(key)
    if etag is not None and now.etag != etag:
        raise contradiction(call, "another version")
    return now.size, now.size


def disagreement(looked_up: Entry, seen: Entry) -> str | None:
    """How two answers about one object contradict each other; None where they do not.

    Only what both tell is compared.
    """
    if looked_up.size != seen.size:
        return f"{seen.size} bytes, where {looked_up.size} were told before"
    if _differ(looked_up.etag, seen.etag):
        return "another version"
    one, other = looked_up.digest, seen.digest
    same_kind = one is not None and other is not None and one.algorithm == other.algorithm
    if _differ(looked_up.crc32c, seen.crc32c) or (same_kind and one != other):
        return "another checksum"
    return None


def _differ(one: Any, other: Any) -> bool:
    return None not in (one, other) and one != other
