"""A service's limit of requests a second."""

from __future__ import annotations

from time import monotonic

__all__ = ["TokenBucket"]


class TokenBucket:
    """So many a second, and a few more after a pause.

    Args:
        rate: requests a second; may be set anew at any time.
        burst: how many may come at once after a pause; services allow a second's worth and more.
    """

    def __init__(self, rate: float, burst: float = 10.0) -> None:
        self.rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = monotonic()

    def take(self) -> bool:
        """Whether one more may pass."""
        now = monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
