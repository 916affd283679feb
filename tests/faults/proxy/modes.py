"""What is done to requests, and to which of them."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Literal

from tests.faults.proxy.request import Request

__all__ = ["Faults", "Mode", "seed_of"]

_log = logging.getLogger("tests.faults")

Mode = Literal[
    "reset",  # in mid-body, the request's or else the answer's; without either, in place of the answer
    "truncate",  # the same, ended politely; the server has the bytes that came before
    "stall",  # no byte moves any more
    "delay",  # the request is passed on somewhat later
    "slow_down",  # 503
    "too_many",  # 429 with Retry-After
    "lost_answer",  # 500, after the work was done
    "flip",  # of one bit of the request's body, or else of the answer's
    "flip_answer",  # of the answer's
    "duplicate",  # the answer comes twice
    "close",  # the connection, after the answer
]


def seed_of(number: int) -> int:
    """The seed of a drawing: the number, unless the environment has a `FAULT_SEED`, which is another run's."""
    return int(os.environ.get("FAULT_SEED", number))


class Faults:
    """Draws what is done to each request.

    Args:
        modes: how often each one is done, of one; or several, together at `rate`.
        rate: of how many requests in one.
        seed: of the drawing; in the log, which is shown with a test that fails.
        applies: whether anything may be done to a request.
        limit: at most that many.

    Attributes:
        done: how often each was drawn.
    """

    def __init__(
        self,
        modes: Mapping[Mode, float] | Sequence[Mode],
        rate: float,
        seed: int,
        applies: Callable[[Request], bool],
        limit: int,
    ) -> None:
        rates = modes if isinstance(modes, Mapping) else dict.fromkeys(modes, rate / max(len(modes), 1))
        self.random = Random(seed)
        self.done: Counter[str] = Counter()
        self._modes = [*rates, None]
        self._weights = [*rates.values(), 1 - sum(rates.values())]
        self._applies = applies
        self._limit = limit
        _log.warning("faults %s with FAULT_SEED=%d", dict(rates), seed)

    def draw(self, request: Request) -> str | None:
        """The mode of a request, or None."""
        (mode,) = self.random.choices(self._modes, self._weights)
        if mode is None or self.done.total() >= self._limit or not self._applies(request):
            return None
        self.done[mode] += 1
        return mode
