"""The combinations of operation, request and answer that are tried, and those about which nothing can be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from tests.faults.foreign.answers import ANSWERS, Changed, Early, ForeignAnswer, Instead
from tests.faults.foreign.attempts import Operation
from tests.faults.foreign.proxy import Rule, Seen
from tests.faults.proxy import Dialect

__all__ = ["Combination", "Makers", "every_combination", "some_combinations"]

_AT_FIRST = "options"
"""What is asked once in a session, whatever is done first."""

_LEAST_EARLY = 512 << 10
"""Bytes of a body that cannot all be on their way before the answer to its head is there."""

_OPERATIONS = 4
"""Operations that each answer to a request is tried with in the long run."""

_SELDOM = (
    *('"x"', '"x", done', "[], done", "{}, done", "error as JSON, done"),
    *("no content, done", "moved, done", "late second, empty"),
)
"""What is not tried every day: it is much like others."""

_WITH_LARGE = (
    *("page", "page with an ETag", "nothing", "nothing, done", "lost, done", "half", "other version", "flipped"),
    *("early, reads", "early, closes", "early, deaf", "second, the same"),
)
"""What is tried every day of requests that only large files make: each takes some tenth of a second."""

_MOVED_AWAY = ("moved", "redirect to itself")
"""What another try does not change: the endpoint is a wrong one."""

_LATE = "late second"
"""It may come when the next request is sent: then only what contradicts it tells that it is not that one's."""

_LOOKS = ("head", "stat")


@dataclass(frozen=True)
class Combination:
    """One trial.

    Attributes:
        operation: what is done.
        verb: which of its requests get the answer.
        answer: its name.
        first, once: as `Rule` has them.
    """

    dialect: Dialect
    operation: Operation
    verb: str
    answer: str
    first: int
    once: bool

    def __str__(self) -> str:
        position = f"number {self.first}" if self.once else f"all from number {self.first} on"
        return f"{self.dialect} {self.operation.name}: {self.verb}, {position}: {self.answer}"

    @property
    def rule(self) -> Rule:
        """Which requests get the answer."""
        answer = ANSWERS[self.answer]
        least = _LEAST_EARLY if isinstance(answer, Early) else 0
        return Rule.of(self.verb, answer, least=least, first=self.first, once=self.once)

    @property
    def ends_well(self) -> bool:
        """Whether the operation has to succeed: one answer was wrong, is known to be, and is worth another try."""
        if not self.once or self.answer.startswith((*_MOVED_AWAY, _LATE)):
            return False
        if self.verb in _LOOKS:
            return self.answer not in _CREDIBLE_LOOKS
        # What the caller has of a stream cannot be taken back.
        return not (self.operation.name in _READS and self.answer in _CREDIBLE_READS)


Makers = Mapping[Operation, Mapping[str, Seen]]
"""What requests each operation makes."""


def every_combination(dialect: Dialect, verb: str, makers: Makers) -> Iterator[Combination]:
    """The trials of one kind of request: each answer with some operations, once early, once late, and for ever."""
    for name in ANSWERS:
        fitting = _fitting(dialect, verb, name, makers)
        for operation, seen in Random(f"{dialect} {verb} {name}").sample(fitting, min(len(fitting), _OPERATIONS)):
            # Of bodies, the last one may be too small for an early answer.
            last = 1 if isinstance(ANSWERS[name], Early) else min(seen.count, 3)
            for first in sorted({1, last}):
                yield Combination(dialect, operation, verb, name, first, once=True)
            yield Combination(dialect, operation, verb, name, 1, once=False)


def some_combinations(dialect: Dialect, verbs: Sequence[str], makers: Makers) -> Iterator[Combination]:
    """Every answer to every kind of request, with one operation each, once or for ever."""
    for verb in verbs:
        for name in ANSWERS:
            fitting = _fitting(dialect, verb, name, makers)
            small = [operation for operation, _ in fitting if not operation.large]
            if name in _SELDOM or (not small and name not in _WITH_LARGE):
                continue
            chosen = small or [operation for operation, _ in fitting]
            if chosen:
                random = Random(f"{dialect} {verb} {name}")
                once = random.random() < 0.5
                yield Combination(dialect, random.choice(chosen), verb, name, 1, once=once)


def _fitting(dialect: Dialect, verb: str, answer: str, makers: Makers) -> list[tuple[Operation, Seen]]:
    return [
        (operation, seen[verb])
        for operation, seen in makers.items()
        if verb in seen
        and verb in (operation.verbs or seen)
        and (verb != _AT_FIRST or operation.verbs)
        and _fits(ANSWERS[answer], verb, seen[verb])
        and not _is_credible(dialect, verb, answer, operation)
        and not (isinstance(ANSWERS[answer], Early) and operation.name.startswith("resume"))  # its body is the last one
    ]


def _fits(answer: ForeignAnswer, verb: str, seen: Seen) -> bool:
    """Whether the answer says something else than another one."""
    if isinstance(answer, Instead):
        return not (answer.reaches and seen.reads)
    if isinstance(answer, Early):
        return seen.sent >= _LEAST_EARLY
    if isinstance(answer, Changed):
        return seen.answered and (
            verb in ("get", "get part") or answer.name == "half" or (verb == "head" and answer.name != "flipped")
        )
    return True


def _is_credible(dialect: Dialect, verb: str, answer: str, operation: Operation) -> bool:
    """Whether the answer is such as the service gives, and nothing contradicts it."""
    if answer in _CREDIBLE.get((dialect, verb), ()):
        return True
    if operation.name in ("stat", "exists") and verb in _LOOKS:
        return answer.startswith(_LATE) or (verb == "head" and answer in _CREDIBLE_LOOKS)
    # Nothing was looked up before, and it tells no checksum.
    return answer in _UNSIGNED and operation.name in _READS


_CREDIBLE_LOOKS = ("page with an ETag", "half", "half without a checksum", "longer", "other version")
"""Of an answer without a body, a wrong size or version is like a right one."""

_CREDIBLE_READS = (*_CREDIBLE_LOOKS, "flipped")
"""Where nothing was looked up before, only the checksum at the end of a body tells that it is wrong."""

_UNSIGNED = ("other version", "half without a checksum")

_READS = ("read", "read large")
"""The calls that look nothing up before."""

_CREDIBLE: Mapping[tuple[Dialect, str], Sequence[str]] = {
    ("GCP", "delete"): ("no content",),  # the emulator's own answers have no header of Google's
    ("UNIT", "delete"): ("{}",),
    ("UNIT", "forget"): ("no content",),
    ("UNIT", "list"): ("[]",),
}
"""Answers that are the service's own word for success."""
