"""Remembers which origins ever answered, so that requests to a dead endpoint end soon.

A server that answered before may be restarting: its requests are worth all attempts. An origin that never answered is
most likely a wrong endpoint, or is behind a firewall. Its requests get `FEW_ATTEMPTS`, and once it has been tried
for `GIVE_UP_SECONDS`, each further request gets a single one. So a call of many items waits for a dead endpoint
once, and not once for each item. An answer ends this at once.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from dxflow_async.net.errors import FEW_ATTEMPTS, ConnectError, HostNotFoundError, NetError, ProxyError, StalledError
from dxflow_async.net.request import Origin

__all__ = ["GIVE_UP_SECONDS", "NAME_SECONDS", "ReachedOrigins"]

GIVE_UP_SECONDS = 3.0
"""Seconds for which an origin that never answered is tried more than once. `FEW_ATTEMPTS` take that long at most."""

NAME_SECONDS = 30.0
"""The same where names cannot be looked up just now, which says nothing of the server: a network that comes back."""


class ReachedOrigins:
    """The origins of one client.

    Args:
        clock: the time in seconds; tests give their own.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._answered: set[Origin] = set()
        self._failing: dict[Origin, tuple[float, int]] = {}

    def answered(self, origin: Origin) -> None:
        """Notes that an origin answered a request."""
        if origin not in self._answered:
            self._answered.add(origin)
            self._failing.pop(origin, None)

    def failed(self, origin: Origin, error: NetError) -> None:
        """Limits the attempts of an error if the origin was not reached and never answered."""
        if origin in self._answered or not error.retryable or not isinstance(error, _NOT_REACHED):
            return
        now, names = self._clock(), isinstance(error, HostNotFoundError)
        since, failures = self._failing.get(origin, (now, 0))
        self._failing[origin] = since, failures + 1
        if now - since >= (NAME_SECONDS if names else GIVE_UP_SECONDS) and failures >= FEW_ATTEMPTS:
            error.max_attempts = 1
        elif not names:
            error.max_attempts = min(error.max_attempts or FEW_ATTEMPTS, FEW_ATTEMPTS)


_NOT_REACHED = (ConnectError, ProxyError, StalledError)
