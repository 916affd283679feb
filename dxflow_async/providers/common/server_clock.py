"""The time of a service, for signatures on a machine whose clock is wrong.

A service refuses signatures whose time is too far from its own: Amazon S3 and Azure Storage by more than 15 minutes.
The `Date` of the refusal tells the service's time. The difference is kept, requests are signed with it from then on,
and a log line says so. A clock that is corrected later is noticed in the same way.

Source: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import time

from dxflow_async.providers.common.fields import timestamp_of

__all__ = ["LARGE_DIFFERENCE", "ServerClock", "spell_duration"]

_log = logging.getLogger("dxflow_async.providers")

LARGE_DIFFERENCE = 300.0
"""Seconds. No service refuses signatures for a smaller difference, unless it says that the time is wrong."""

_SMALL_DIFFERENCE = 5.0
"""Seconds by which a `Date` may differ because the response took so long."""


class ServerClock:
    """The time of one service.

    Args:
        service: the service's name or host, for the log.

    Attributes:
        offset: seconds to add to the time of this machine.
    """

    __slots__ = ("_service", "offset")

    def __init__(self, service: str) -> None:
        self.offset = 0.0
        self._service = service

    def __str__(self) -> str:
        duration = spell_duration(abs(self.offset))
        return f"the clock of this machine is {duration} {'behind' if self.offset > 0 else 'ahead of'} the service's"

    def now(self) -> float:
        """Returns the service's time in seconds since the epoch."""
        return time() + self.offset

    def corrected(self, used: float, headers: Mapping[str, str], *, named: bool = False, told: float = 0.0) -> bool:
        """Learns the service's time from the response to a request that it refused.

        Args:
            used: the `offset` that the refused request was signed with.
            headers: those of the response.
            named: whether the response says that the time is the reason.
            told: the service's time in seconds since the epoch, if the body of the response tells it.

        Returns:
            Whether another signature of the same request has another time, so that it may be accepted.
        """
        served = told or timestamp_of(headers.get("date", ""))
        least = _SMALL_DIFFERENCE if named else LARGE_DIFFERENCE
        if not served or abs(served - time() - used) <= least:
            return False
        if abs(served - self.now()) > _SMALL_DIFFERENCE:
            self.offset = served - time()
            self._report()
        return abs(self.offset - used) > _SMALL_DIFFERENCE

    def explained(self, reason: str) -> str:
        """Returns the reason of a refusal that a signature with the service's time did not change."""
        first = next(iter(reason.splitlines()), "") or "no reason given"
        return f"{first}; {self}, which the signature has taken into account"

    def _report(self) -> None:
        if abs(self.offset) <= _SMALL_DIFFERENCE:
            self.offset = 0.0
            _log.warning("the clock of this machine agrees with that of %s again", self._service)
            return
        _log.warning("%s (%s): requests are signed with the service's time; set the clock", self, self._service)


def spell_duration(seconds: float) -> str:
    """Returns a duration in its largest fitting unit.

    Example:
        >>> spell_duration(2520), spell_duration(45), spell_duration(90_000)
        ('42 minutes', '45 seconds', '25 hours')
    """
    for unit, size, least in (("days", 86400, 2 * 86400), ("hours", 3600, 2 * 3600), ("minutes", 60, 120)):
        if seconds >= least:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
