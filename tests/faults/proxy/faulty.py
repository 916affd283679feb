"""A proxy between a client and a storage server that does, to some requests, what networks and servers do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from urllib.parse import urlsplit

from tests.faults.proxy.answers import Dialect, refusal
from tests.faults.proxy.exchange import Exchange
from tests.faults.proxy.listener import Listener, Stream
from tests.faults.proxy.modes import Faults, Mode, seed_of
from tests.faults.proxy.request import Request
from tests.faults.proxy.throttle import TokenBucket

__all__ = ["FaultProxy"]

_DELAY = 0.05
_KEPT = 1 << 20
"""Bytes of an answer that comes twice; a larger one comes once."""


class FaultProxy(Listener):
    """Forwards HTTP/1.1 requests and lets some fail.

    The `Host` that was signed is passed on as it came. Where a server tells URLs of its own (Google's sessions of
    resumable uploads), our client takes only their path, so that they lead through here too.

    Args:
        upstream: the server's URL.
        modes: how often each one is done, of one; or several, together at `rate`.
        rate: of how many requests in one.
        seed: of the drawing.
        applies: whether anything may be done to a request; by default to those that move objects.
        limit: at most that many faults.
        dialect: of whose words refusals are made.
        throttle: the service's limit; beyond, requests are answered with `throttled`.
        retry_after: seconds that a 429 asks for.
        latency: seconds before any request is passed on.
        gate: waited for before a request is passed on.

    Attributes:
        requests: how many there were.
        in_flight: how many there are now.
        served: when each request was let through.
    """

    def __init__(
        self,
        upstream: str,
        modes: Mapping[Mode, float] | Sequence[Mode] = (),
        *,
        rate: float = 0.1,
        seed: int = 1,
        applies: Callable[[Request], bool] = lambda request: request.moves_object,
        limit: int = 1_000_000,
        dialect: Dialect = "AWS",
        throttle: TokenBucket | None = None,
        throttled: Mode = "slow_down",
        retry_after: int = 0,
        latency: float = 0.0,
        gate: Callable[[Request], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__()
        url = urlsplit(upstream)
        self._host, self._port = str(url.hostname), int(url.port or 80)
        self._faults = Faults(modes, rate, seed_of(seed), applies, limit)
        self._dialect = dialect
        self._throttle = throttle
        self._throttled = throttled
        self._retry_after = retry_after
        self._latency = latency
        self._gate = gate
        self.requests = 0
        self.in_flight = 0
        self.served: list[float] = []

    @property
    def faults(self) -> Counter[str]:
        """How often each mode was done."""
        return self._faults.done

    async def _serve(self, client: Stream) -> None:
        server = await Stream.open(self._host, self._port)
        try:
            while True:
                head = await client.reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                self.in_flight += 1
                try:
                    resuming = await self._exchange(Exchange(head, client, server))
                finally:
                    self.in_flight -= 1
                if not resuming:
                    return
        finally:
            server.writer.transport.abort()

    async def _exchange(self, exchange: Exchange) -> bool:
        """One request and its answer; whether another may follow."""
        if self._latency:
            await asyncio.sleep(self._latency)
        request = exchange.request
        if self._gate is not None:
            await self._gate(request)
        mode = self._faults.draw(request)
        if self._throttle is not None and not self._throttle.take():
            mode = self._throttled
            self.faults["throttled"] += 1
        if mode == "stall":
            await asyncio.Event().wait()
        elif mode == "delay":
            await asyncio.sleep(_DELAY)
        if mode in ("slow_down", "too_many"):
            await exchange.take()
            await exchange.client.write(refusal(self._dialect, mode, request.method, self._retry_after))
            return True
        self.served.append(monotonic())
        return await self._pass_on(exchange, mode)

    async def _pass_on(self, exchange: Exchange, mode: str | None) -> bool:
        random, size = self._faults.random, exchange.request.size
        if mode in ("reset", "truncate"):
            await self._cut(exchange, mode)
            return False
        flips = mode == "flip" and size > 0
        await exchange.send(flip=random if flips else None)
        await exchange.await_answer()
        if mode == "lost_answer":
            await exchange.lose()
            await exchange.client.write(refusal(self._dialect, mode, exchange.request.method))
        elif mode == "duplicate" and (exchange.size or 0) <= _KEPT:
            await exchange.answer_twice()
        else:
            await exchange.answer(flip=random if mode == "flip_answer" or (mode == "flip" and not flips) else None)
        if mode == "close":
            await exchange.client.finish()
        return mode != "close"

    async def _cut(self, exchange: Exchange, mode: str) -> None:
        """Ends the connection in the middle: of the request's body, else of the answer's, else between them."""
        random, size = self._faults.random, exchange.request.size
        if size and mode == "reset":
            await exchange.take(random.randrange(size))
        elif size:
            await exchange.send(random.randrange(size))
        else:
            await exchange.send()
            await exchange.await_answer()
            if exchange.size:
                await exchange.answer(random.randrange(exchange.size))
        if mode == "reset":
            exchange.client.reset()
        else:
            await exchange.client.finish()
