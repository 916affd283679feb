"""Answers that are not the service's own: given in its place, made of its own, too early, or one too many."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.foreign.verbs import LOGIN
from tests.faults.proxy.exchange import Exchange

__all__ = ["ANSWERS", "Changed", "Early", "ForeignAnswer", "Instead", "Lost", "Second"]

_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to the Wi-Fi</body></html>\n"
_XML = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
)
_JSON = b'{"error": {"code": 503, "message": "backend error", "errors": [{"reason": "backendError"}]}}'
_TAGS = 'ETag: "5d41402abc4b2a76b9719d911017c592"\r\nLast-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\n'
_LATE = 0.003


class ForeignAnswer(ABC):
    """One way to answer a request."""

    name: str

    @abstractmethod
    async def give(self, exchange: Exchange) -> bool:
        """Answers a request whose head was read. Returns whether the connection goes on."""


@dataclass(frozen=True)
class Instead(ForeignAnswer):
    """An answer in the place of the service's.

    Attributes:
        name: what it is.
        reaches: whether the request is passed on first, and what the service says is lost.
        status, headers, body: of the answer.
    """

    name: str
    reaches: bool
    status: str = "200 OK"
    headers: str = ""
    body: bytes = b""

    async def give(self, exchange: Exchange) -> bool:
        if self.reaches:
            await exchange.send()
            await exchange.await_answer()
            await exchange.lose()
        else:
            await exchange.take()
        await exchange.client.write(_message(exchange, self.status, self.headers, self.body))
        return True


@dataclass(frozen=True)
class Lost(Instead):
    """No answer: the connection ends once the service has done the work."""

    async def give(self, exchange: Exchange) -> bool:
        await exchange.send()
        await exchange.await_answer()
        await exchange.lose()
        await exchange.client.finish()
        return False


@dataclass(frozen=True)
class Changed(ForeignAnswer):
    """The service's answer with another head, another body, or both."""

    name: str
    change: Callable[[str, bytes], tuple[str, bytes]]

    async def give(self, exchange: Exchange) -> bool:
        await exchange.send()
        await exchange.await_answer()
        head, body = await exchange.receive()
        is_head = exchange.request.method == "HEAD"
        told = _told_size(head) if is_head else None
        changed, new = self.change(head, body if told is None else bytes(told))
        if changed == head and new == (body if told is None else bytes(told)):
            await exchange.client.write(head.encode("latin-1") + body)
            return True
        changed = _with_length(changed, len(new))
        await exchange.client.write(changed.encode("latin-1") + (b"" if is_head else new))
        return True


@dataclass(frozen=True)
class Early(ForeignAnswer):
    """Success before the request's body was sent, which never reaches the service.

    Attributes:
        name: what it is.
        reads: whether the body is read afterwards.
        closes: whether the connection is closed then.
    """

    name: str
    reads: bool
    closes: bool

    async def give(self, exchange: Exchange) -> bool:
        await exchange.client.write(_message(exchange, "200 OK", _TAGS, b""))
        if self.reads:
            await asyncio.sleep(_LATE)
            await exchange.take()
        elif not self.closes:
            await asyncio.sleep(1)
        if self.closes:
            await exchange.client.finish()
        return self.reads and not self.closes


@dataclass(frozen=True)
class Second(ForeignAnswer):
    """The service's answer, and behind it one that nobody asked for.

    Attributes:
        name: what it is.
        copy: whether the second is the same once more; else it is an empty success.
        late: whether it comes somewhat later.
    """

    name: str
    copy: bool
    late: bool

    async def give(self, exchange: Exchange) -> bool:
        await exchange.send()
        await exchange.await_answer()
        head, body = await exchange.receive()
        first = head.encode("latin-1") + body
        second = first if self.copy else _message(exchange, "200 OK", _TAGS, b"")
        if self.late:
            await exchange.client.write(first)
            await asyncio.sleep(_LATE)
            await exchange.client.write(second)
        else:
            await exchange.client.write(first + second)
        return True


def _message(exchange: Exchange, status: str, headers: str, body: bytes) -> bytes:
    """An answer; `{login}` in a header stands for the sign-in page's URL, `{target}` for the request's."""
    host, target = exchange.request.headers.get("host", ""), exchange.request.target
    headers = headers.replace("{login}", f"http://{host}/{LOGIN}").replace("{target}", f"http://{host}{target}")
    length = "" if status.startswith("204") else f"Content-Length: {len(body)}\r\n"
    head = f"HTTP/1.1 {status}\r\nServer: portal\r\n{headers}{length}\r\n".encode("latin-1")
    return head if exchange.request.method == "HEAD" else head + body


# What is made of the service's own


def _told_size(head: str) -> int | None:
    found = re.search(r"(?im)^content-length: *(\d+)", head)
    return int(found[1]) if found else None


def _with_length(head: str, size: int) -> str:
    """The head with another length."""
    head = re.sub(r"(?im)^(content-length|transfer-encoding):.*\r\n", "", head)
    return f"{head[:-2]}Content-Length: {size}\r\n\r\n"


def _without(head: str, *names: str) -> str:
    """The head without these headers."""
    return re.sub(rf"(?im)^({'|'.join(names)}):.*\r\n", "", head)


_CHECKSUMS = (
    "x-amz-checksum-[^:]*",
    "x-goog-hash",
    "content-md5",
    "x-ms-content-crc64",
    "x-ms-meta-[^:]*",
    "dx-checksum",
)
_VERSIONS = r"(?im)^(etag|x-goog-generation): *(\"?)([^\r\"]*)(\"?)"


def _half(head: str, body: bytes) -> tuple[str, bytes]:
    """The right headers, half the body, and a length that says so."""
    return head, body[: len(body) // 2]


def _unsigned_half(head: str, body: bytes) -> tuple[str, bytes]:
    """The same of an object that no checksum is told of."""
    return _half(_without(head, *_CHECKSUMS), body)


def _longer(head: str, body: bytes) -> tuple[str, bytes]:
    """The same version with more bytes than it has."""
    return head, body + b"and more" if body else body


def _other_version(head: str, body: bytes) -> tuple[str, bytes]:
    """Another version of the same size: other bytes, and no checksum."""
    if not re.search(_VERSIONS, head):
        return head, body
    changed = re.sub(_VERSIONS, lambda found: f"{found[1]}: {found[2]}{_other(found[3])}{found[4]}", head)
    return _without(changed, *_CHECKSUMS), bytes(byte ^ 1 for byte in body)


def _other(tag: str) -> str:
    """A tag of the same form."""
    return tag[:-1] + ("1" if tag[-1:] != "1" else "2")


def _flipped(head: str, body: bytes) -> tuple[str, bytes]:
    """The same version, size and checksum, with one wrong byte."""
    middle = len(body) // 2
    return head, body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body


_HTML = "Content-Type: text/html; charset=utf-8\r\n"
_XML_TYPE, _JSON_TYPE = "Content-Type: application/xml\r\n", "Content-Type: application/json\r\n"


def _instead(name: str, status: str = "200 OK", headers: str = "", body: bytes = b"") -> tuple[Instead, Instead]:
    """The answer with the request that never came, and with the answer that was lost."""
    return Instead(name, False, status, headers, body), Instead(f"{name}, done", True, status, headers, body)


ANSWERS: dict[str, ForeignAnswer] = {
    answer.name: answer
    for answer in (
        *_instead("page", headers=_HTML, body=_PAGE),
        *_instead("page with an ETag", headers=_HTML + _TAGS, body=_PAGE),
        *_instead("error as XML", headers=_XML_TYPE, body=_XML),
        *_instead("error as JSON", headers=_JSON_TYPE, body=_JSON),
        *_instead("{}", headers=_JSON_TYPE, body=b"{}"),
        *_instead("[]", headers=_JSON_TYPE, body=b"[]"),
        *_instead('"x"', headers=_JSON_TYPE, body=b'"x"'),
        *_instead("nothing", headers=""),
        *_instead("no content", "204 No Content"),
        *_instead("sign-in redirect", "302 Found", "Location: {login}\r\n"),
        *_instead("redirect to itself", "307 Temporary Redirect", "Location: {target}\r\n"),
        *_instead("moved", "301 Moved Permanently"),
        Lost("lost, done", reaches=True),
        Changed("half", _half),
        Changed("half without a checksum", _unsigned_half),
        Changed("longer", _longer),
        Changed("other version", _other_version),
        Changed("flipped", _flipped),
        Early("early, reads", reads=True, closes=False),
        Early("early, reads and closes", reads=True, closes=True),
        Early("early, closes", reads=False, closes=True),
        Early("early, deaf", reads=False, closes=False),
        Second("second, the same", copy=True, late=False),
        Second("second, empty", copy=False, late=False),
        Second("late second, the same", copy=True, late=True),
        Second("late second, empty", copy=False, late=True),
    )
}
"""Every answer, by its name."""
