"""The session's budgets, which all its calls share: requests in flight, buffered bytes, bytes per second."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from dxflow_async.concurrency.descriptors import Descriptors
from dxflow_async.providers.contract import Provider
from dxflow_async.transfer.adaptive_limit import INITIAL, LARGE_INITIAL, AdaptiveLimit, Landing
from dxflow_async.transfer.bandwidth import Bandwidth
from dxflow_async.transfer.memory_budget import MemoryBudget, MemoryShare
from dxflow_async.transfer.read_ahead import ReadAhead

__all__ = ["AdaptiveLimit", "Bandwidth", "Limits", "MemoryBudget"]

_READ_AHEAD = 4

_COPY_SHARE = 5 / 8
"""Of the memory. At the default, seven eighths of it hold 17 parts of 8 MiB: 400 MB/s where reading and writing a part
take 0.35 s together."""

_MAX_FINISHING = 256
"""Items that may wait for the disk beside those that workers move. Each of them holds a file open."""


@dataclass(slots=True)
class Limits:
    """All budgets of a session.

    Args:
        max_concurrency: the most requests in flight to one endpoint.
        max_memory_bytes: the most buffered bytes.
        max_bandwidth: bytes per second, or None for no limit.
        descriptors: the shares of the files and connections that may be open; None: there is no limit.

    Attributes:
        calls: how many calls transfer items now. They share the workers.
        stream_memory: how much of the memory streams of unknown length may reserve.
        copy_memory: how much of it may hold objects and parts between two services.
        landing: counts the reads that are being written.
        watchers: called when more workers may run than before.
    """

    max_concurrency: int
    max_memory_bytes: int
    max_bandwidth: int | None = None
    descriptors: Descriptors | None = None
    calls: int = field(init=False, default=0)
    memory: MemoryBudget = field(init=False)
    stream_memory: MemoryShare = field(init=False)
    copy_memory: MemoryShare = field(init=False)
    bandwidth: Bandwidth | None = field(init=False)
    endpoints: dict[str, AdaptiveLimit] = field(default_factory=dict)
    landing: Landing = field(init=False, default_factory=Landing)
    watchers: set[Callable[[], None]] = field(init=False, default_factory=set)
    _read_aheads: dict[tuple[str, str], ReadAhead] = field(init=False, default_factory=dict)
    _workers: int = field(init=False, default=0)
    _most_workers: int = field(init=False)

    def __post_init__(self) -> None:
        self._most_workers = sys.maxsize if self.descriptors is None else self.descriptors.workers
        self.count_workers()
        self.memory = MemoryBudget(self.max_memory_bytes)
        self.stream_memory = MemoryShare(self.memory, max(self.max_memory_bytes // 2, 1))
        self.copy_memory = MemoryShare(self.memory, max(int(self.max_memory_bytes * _COPY_SHARE), 1))
        self.bandwidth = None if self.max_bandwidth is None else Bandwidth(self.max_bandwidth)

    def workers(self) -> int:
        """Returns how many parts are worth moving at a time: as many as requests, and a few to read ahead.

        Reads that are being written take no place among the requests, so as many others move beside them.
        """
        workers, landing = self._workers, self.landing.count
        if landing:
            workers = min(workers + min(landing, workers, _MAX_FINISHING), self._most_workers)
        if self.calls < 2:
            return workers
        # Each call has a journal of its own, which holds as many files as a worker.
        return min(workers, max(1, (self._most_workers - self.calls + 1) // self.calls))

    @property
    def max_finishing(self) -> int:
        """How many files of a call may wait for the disk beside those that workers move."""
        return _MAX_FINISHING if self.descriptors is None else min(_MAX_FINISHING, self.descriptors.finishing)

    def out_of_descriptors(self) -> None:
        """Lets fewer workers run from now on: too many files are open, also those of others."""
        self._most_workers = max(1, self._workers // 2)
        self.count_workers()

    def concurrency(self) -> int:
        """Returns how many requests may be in flight to the endpoint that is used most; 0 if none is used."""
        busiest = max(self.endpoints.values(), key=lambda limit: limit.in_flight, default=None)
        return busiest.places if busiest is not None and busiest.in_flight else 0

    def change_budget(self, max_concurrency: int, max_bandwidth: int | None) -> None:
        """Changes the most requests in flight to each endpoint, and the bandwidth where it is limited."""
        if max_concurrency != self.max_concurrency:
            self.max_concurrency = max_concurrency
            for limit in self.endpoints.values():
                limit.change_maximum(self._most_requests)
            self.count_workers()
        if self.bandwidth is not None and max_bandwidth is not None:
            self.bandwidth.change(max_bandwidth)

    @property
    def _most_requests(self) -> int:
        open_connections = sys.maxsize if self.descriptors is None else self.descriptors.connections
        return min(self.max_concurrency, open_connections)

    def count_workers(self) -> None:
        """Counts the workers anew after a limit has changed."""
        before = self._workers
        widest = max([INITIAL + LARGE_INITIAL, *(limit.places for limit in self.endpoints.values())])
        self._workers = min(min(widest, self.max_concurrency) + _READ_AHEAD, self._most_workers)
        for ahead in self._read_aheads.values():
            ahead.admit()
        if self._workers > before:
            for watcher in tuple(self.watchers):
                watcher()

    @property
    def largest_part(self) -> int:
        """The largest part of a stream, in bytes, so that several fit into memory."""
        return max(self.max_memory_bytes // 4, 1)

    def requests(self, provider: Provider) -> AdaptiveLimit | None:
        """Returns the limit on requests in flight for a provider; None for a provider without a network."""
        endpoint = provider.features.endpoint
        if endpoint is None:
            return None
        limit = self.endpoints.get(endpoint)
        if limit is None:
            first = provider.features.first_requests
            limit = self.endpoints[endpoint] = AdaptiveLimit(
                self._most_requests,
                INITIAL if first is None else first,
                large_initial=LARGE_INITIAL if first is None else first,
                endpoint=endpoint,
                on_change=self.count_workers,
                landing=self.landing,
            )
        return limit

    def read_ahead(self, source: Provider, destination: Provider) -> ReadAhead | None:
        """Returns what decides when parts are read that pass through memory; None if one side has no network."""
        reads, writes = self.requests(source), self.requests(destination)
        if reads is None or writes is None:
            return None
        ends = source.features.endpoint or "", destination.features.endpoint or ""
        found = self._read_aheads.get(ends)
        if found is None:
            found = self._read_aheads[ends] = ReadAhead(reads, writes)
        return found
