"""The control law that finds how many requests an endpoint serves best at a time.

The law takes the goodput of each window, and how slow its requests were. In slow start it doubles the limit while
requests take no longer than a single one would, or while goodput follows. After that it moves by the gradient: a step
up of the square root of the limit while requests are quick, and a step down in proportion when they are not. Where the
time of requests says nothing, steps in both directions are tried. A step that does not pay is taken back, and the next
one waits longer. Refusals (429, 503 SlowDown, ...) lower the limit by half of their share. It rises again slowly at
first, and faster the longer nothing is refused.

While the client itself is busy all the time, more requests cannot help, and each costs it memory and time: the limit
does not rise.

Without refusals the limit never falls below its start: what is measured is noisy, and a walk downhill would end at one.

Sources: https://github.com/Netflix/concurrency-limits (Gradient2), https://www.rfc-editor.org/rfc/rfc8257 (the step
down by the share of refusals), https://www.rfc-editor.org/rfc/rfc9438 (the rise after one).
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

__all__ = ["ConcurrencyLaw"]

_QUICK = 1.25
"""Requests that take up to this many times the best time are quick: they do not wait for each other."""

_SLOW = 1.6
"""Requests that take this many times the best time wait for each other somewhere."""

_PAYS = 0.3
"""A step up pays if goodput grows by this share of the step at least."""

_MAY_LOSE = 0.1
"""A step down pays if goodput falls by no more than this share of the step."""

_PAYS_WELL = 0.7
"""A step up by which goodput grows by this share of it begins a new slow start."""

_MOST_GAIN = 1.25
"""A step up by a factor gains at most this many times as much: more than that was a burst, such as buffers hold."""

_LONGEST_HOLD = 64
"""The most windows between two steps up of which the first did not pay."""

_RISE = 0.25
"""After a refusal each window raises the limit by one, and by this much for each window before it."""

_QUIET = 40
"""Windows without a refusal after which the limit moves by the gradient again."""


class ConcurrencyLaw:
    """Moves a limit, by what is measured in windows of time.

    Args:
        start: the limit at the start.
        maximum: the limit never exceeds it.

    Attributes:
        limit: how many requests may be in flight now.
    """

    def __init__(self, start: int, maximum: int) -> None:
        self.limit = float(min(start, maximum))
        self._start = float(start)
        self._floor = self.limit
        self._maximum = float(maximum)
        self._doubles = True
        self._step: _Step | None = None  # the step that is to be judged
        self._undone: _Step | None = None  # the step that was just taken back
        self._doubted = False
        self._hold = 0
        self._next_hold = 1
        self._upwards = True
        self._quiet = _QUIET  # windows since the last refusal

    @property
    def doubles(self) -> bool:
        """Whether the limit is in slow start."""
        return self._doubles

    def change_maximum(self, maximum: int) -> None:
        """Changes the most that the limit may be."""
        self._maximum = float(maximum)
        self._floor = min(self._start, self._maximum)
        if self.limit > self._maximum:
            self.limit = self._maximum
            self.interrupted()

    def refused(self, share: float) -> None:
        """Steps down.

        Args:
            share: of the requests of a window, those that were refused.
        """
        self.limit = max(1.0, self.limit * (1 - share / 2))
        self._doubles, self._quiet = False, 0
        self.interrupted()

    def interrupted(self) -> None:
        """Forgets the step that was to be judged: no requests were made for a while."""
        self._step = self._undone = None

    def measured(self, goodput: float, slowness: float | None, *, unloaded: bool = False, busy: bool = False) -> None:
        """Moves the limit after a window in which every place was taken.

        Args:
            goodput: what was done per second, in any unit.
            slowness: the time of requests, as a multiple of the best time. None: it says nothing about the endpoint,
                and goodput alone decides.
            unloaded: whether requests take about as long as a single one would. Then in slow start no other proof is
                asked for that more of them will help.
            busy: whether the client's thread worked all the time.
        """
        if busy and self._quiet >= _QUIET and self.limit >= self._floor:
            if (step := self._step) is not None and not _pays(step.limit, step.goodput, self.limit, goodput):
                self.limit = step.limit
            self.interrupted()
            return
        step, undone, self._undone = self._step, self._undone, None
        quick = None if slowness is None else slowness < _QUICK
        if self._quiet < _QUIET or self.limit < self._floor:
            self._recover(slowness)
        elif step is not None and not (self._doubles and quick and unloaded):
            self._judge(step, goodput, quick)
        elif self._doubles:
            self._move_to(2 * self.limit, goodput)
        elif undone is not None and _pays(self.limit, goodput, undone.limit, undone.goodput):
            self._doubles = quick is not False  # it paid after all
            self._move_to(undone.limit, goodput)
        elif slowness is not None and slowness > _SLOW:
            self.limit = max(self._floor, self.limit * max(0.5, _SLOW / slowness))
        elif self._hold:
            self._hold -= 1
        else:
            self._upwards = self._upwards or slowness is not None
            self._move_to(self.limit + sqrt(self.limit) * (1 if self._upwards else -1), goodput)

    def _recover(self, slowness: float | None) -> None:
        """Raises a limit that refusals have lowered."""
        self._quiet += 1
        if slowness is None or slowness <= _SLOW or self.limit < self._floor:
            self.limit = min(self._maximum, self.limit + 1 + _RISE * self._quiet)

    def _judge(self, step: _Step, goodput: float, quick: bool | None) -> None:
        """Keeps a step that pays, and takes one back that does not in two windows.

        Args:
            step: where it began.
            goodput: after it.
            quick: whether requests are about as quick as the best ones; None: that is not known.
        """
        if _pays(step.limit, step.goodput, self.limit, goodput):
            self._next_hold, self._step = 1, None
            self._doubles = self._doubles or (
                quick is not False
                and self.limit > step.limit
                and _pays(step.limit, step.goodput, self.limit, goodput, _PAYS_WELL)
            )
            if self._doubles:
                if quick is None:  # goodput alone decides, and a burst would let the next step seem to gain nothing
                    goodput = min(goodput, _MOST_GAIN * step.goodput * self.limit / step.limit)
                self._move_to(2 * self.limit, goodput)
        elif not self._doubted:
            self._doubted = True
        else:
            if self.limit > step.limit:
                self._undone = _Step(self.limit, goodput)
            self._doubles, self._step, self._upwards = False, None, not self._upwards
            self.limit = step.limit
            self._hold = self._next_hold
            self._next_hold = min(2 * self._next_hold, _LONGEST_HOLD)

    def _move_to(self, limit: float, goodput: float) -> None:
        moved = max(self._floor, min(self._maximum, limit))
        if moved == self.limit:
            self._doubles, self._upwards = False, not self._upwards
            return
        self._doubted = False
        self._step = _Step(self.limit, goodput)
        self.limit = moved


class _Step(NamedTuple):
    """Where a step began: the limit, and the goodput there."""

    limit: float
    goodput: float


def _pays(before: float, goodput_before: float, limit: float, goodput: float, share: float = _PAYS) -> bool:
    """Returns whether a step up gains its share, or a step down loses next to nothing."""
    return goodput >= goodput_before * (1 + (share if limit > before else _MAY_LOSE) * (limit / before - 1))
