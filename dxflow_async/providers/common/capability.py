"""What a server was seen not to be capable of: believed once it is confirmed, and for an hour only.

One answer proves no lack. A proxy may answer in the place of the service, a node may be in the middle of an update, and
an answer that comes too late may be taken for that of the next request. So a lack is believed after the second failure
in a row, or where the same thing worked when it was requested another way. It is tried again after an hour: services
are updated, and routes to them change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from time import monotonic

from dxflow_async.security.redaction import printable

__all__ = ["Capability", "Refusals", "remembered_capability"]

_CONFIRMED = 2
"""Failures in a row after which a lack is believed."""

_BELIEF = 3600.0
"""Seconds for which it is believed."""


class Capability:
    """One thing that a server may not be capable of.

    Args:
        clock: the time in seconds; tests give their own.

    Attributes:
        confirmed: the lack was believed at least once.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = -math.inf
        self.confirmed = False

    @property
    def missing(self) -> bool:
        """Whether the lack is believed. After an hour it is not, and one more failure confirms it again."""
        return self._clock() < self._until

    def worked(self) -> None:
        """Notes an answer that shows the capability, which ends all doubts."""
        self._failures, self._until = 0, -math.inf

    def failed(self) -> bool:
        """Notes an answer that lacks it; returns whether the lack is believed now."""
        self._failures += 1
        if self._failures >= _CONFIRMED:
            self._until = self._clock() + _BELIEF
            self.confirmed = True
        return self.missing


def remembered_capability() -> cached_property[Capability]:
    """Returns an attribute of a class: each of its objects remembers a capability of its server."""
    return cached_property(lambda _: Capability())


class Refusals:
    """The kinds of requests that a server refused, and that worked another way. Each is tried again after an hour.

    Args:
        clock: the time in seconds; tests give their own.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}

    def __contains__(self, request: str) -> bool:
        return request in self._known and self._clock() < self._known[request][1]

    def note(self, request: str, reason: str) -> bool:
        """Notes a refusal and its reason; returns whether it is new."""
        new = request not in self
        if new:
            self._known[request] = printable(reason), self._clock() + _BELIEF
        return new

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """The refused requests and what is done about each, for `remotes test`."""
        believed = [(request, reason) for request, (reason, _) in self._known.items() if request in self]
        return [(request, f"refused ({reason}): made another way") for request, reason in believed]
