"""The proxy that gives foreign answers to chosen requests, and passes all others on."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tests.faults.foreign.answers import ForeignAnswer, Instead
from tests.faults.foreign.verbs import LOGIN, verb_of
from tests.faults.proxy import Dialect, Request
from tests.faults.proxy.exchange import Exchange
from tests.faults.proxy.listener import Listener, Stream

__all__ = ["REFUSAL", "ForeignProxy", "Rule", "Seen"]

REFUSAL = Instead("refused", reaches=False, status="500 Internal Server Error")
"""What a service says that cannot go on."""

_QUIET_SECONDS = 5.0

_MOST = 300
"""Requests under one rule: what asks without end is cut off."""

_LOGIN_PAGE = Instead(LOGIN, reaches=False, headers="Content-Type: text/html\r\n", body=b"<html>Sign in</html>")


@dataclass(frozen=True)
class Rule:
    """Which requests get a foreign answer.

    Attributes:
        applies: told the verb and the request.
        answer: what they get.
        first: from which of them on, counted from 1.
        once: only that one.
    """

    applies: Callable[[str, Request], bool]
    answer: ForeignAnswer
    first: int = 1
    once: bool = False

    @classmethod
    def of(cls, verb: str, answer: ForeignAnswer, *, least: int = 0, first: int = 1, once: bool = False) -> Self:
        """The rule for requests of one verb with at least so many bytes of a body."""
        return cls(lambda asked, request: asked == verb and request.size >= least, answer, first, once)


@dataclass
class Seen:
    """What requests of one verb are like.

    Attributes:
        count: how many there were.
        reads: whether they change nothing at the service.
        sent: bytes of the largest body of a request.
        answered: whether an answer has a body, or tells the length of one.
    """

    count: int = 0
    reads: bool = False
    sent: int = 0
    answered: bool = False


class ForeignProxy(Listener):
    """Stands before a service.

    Args:
        upstream: the service's URL.
        dialect: whose requests these are.

    Attributes:
        seen: the requests since the last rule was set, by verb.
        given: how many foreign answers there were since then.
        refused: chooses requests that the service does not take, whatever the rule says of others.
    """

    def __init__(self, upstream: str, dialect: Dialect) -> None:
        super().__init__()
        url = urlsplit(upstream)
        self._host, self._port = str(url.hostname), int(url.port or 80)
        self._dialect: Dialect = dialect
        self._rule: Rule | None = None
        self._matched = 0
        self._exchanges: set[Exchange] = set()
        self.seen: defaultdict[str, Seen] = defaultdict(Seen)
        self.given = 0
        self.refused: Callable[[Request], bool] = lambda _: False

    @asynccontextmanager
    async def giving(self, rule: Rule | None) -> AsyncIterator[None]:
        """Follows a rule, on connections of its own; at the end, waits for what the service was asked for."""
        self._rule, self._matched, self.given = rule, 0, 0
        self.seen.clear()
        try:
            yield
        finally:
            self._rule = None
            with suppress(TimeoutError):
                async with asyncio.timeout(_QUIET_SECONDS):
                    await asyncio.gather(*(exchange.settled.wait() for exchange in self._exchanges))
            if rule is not None:
                for connection in self._connections:
                    connection.cancel()

    async def _serve(self, client: Stream) -> None:
        # Little is in flight: a body is not sent before it is read.
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        server = await Stream.open(self._host, self._port)
        try:
            resuming = True
            while resuming and sum(seen.count for seen in self.seen.values()) < _MOST:
                exchange = Exchange(await client.reader.readuntil(b"\r\n\r\n"), client, server)
                self._exchanges.add(exchange)
                try:
                    resuming = await self._exchange(exchange)
                finally:
                    self._exchanges.discard(exchange)
        finally:
            server.writer.transport.abort()

    async def _exchange(self, exchange: Exchange) -> bool:
        """One request and its answer; whether another may follow."""
        verb = verb_of(self._dialect, exchange.request)
        seen = self.seen[verb]
        seen.count += 1
        seen.reads = exchange.request.method in ("GET", "HEAD", "OPTIONS")
        seen.sent = max(seen.sent, exchange.request.size)
        if verb == LOGIN:
            return await _LOGIN_PAGE.give(exchange)
        if self._is_chosen(verb, exchange.request):
            assert self._rule is not None
            self.given += 1
            return await self._rule.answer.give(exchange)
        if self.refused(exchange.request):
            return await REFUSAL.give(exchange)
        await exchange.send()
        await exchange.await_answer()
        seen.answered = seen.answered or exchange.tells_body
        await exchange.answer()
        return True

    def _is_chosen(self, verb: str, request: Request) -> bool:
        rule = self._rule
        if rule is None or not rule.applies(verb, request):
            return False
        self._matched += 1
        return self._matched == rule.first if rule.once else self._matched >= rule.first
