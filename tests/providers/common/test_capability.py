"""What is believed of a server's lacks, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dxflow_async.providers.common.capability import Capability, Refusals


class Clock:
    """A time that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("answers", "missing"),
    [("", False), ("-", False), ("--", True), ("-+-", False), ("--+", False), ("+--", True), ("-+-+-", False)],
)
def test_a_lack_is_believed_when_it_is_confirmed(clock: Clock, answers: Sequence[str], missing: bool) -> None:
    """Only two failures in a row prove a lack, and any success ends the doubt."""
    capability = Capability(clock)
    for answer in answers:
        if answer == "+":
            capability.worked()
        else:
            capability.failed()
    assert capability.missing is missing
    assert capability.confirmed is ("--" in answers)


def test_a_lack_is_believed_for_an_hour(clock: Clock) -> None:
    """After an hour the capability is tried again, and one failure confirms the lack anew."""
    capability = Capability(clock)
    assert [capability.failed(), capability.failed()] == [False, True]
    clock.now += 3599
    assert capability.missing
    clock.now += 1
    assert not capability.missing
    assert capability.failed()
    assert capability.missing


def test_refusals_are_believed_for_an_hour(clock: Clock) -> None:
    """A refused request is made another way for an hour; it is new again when it is refused after that."""
    refusals = Refusals(clock)
    assert [refusals.note("batch", "501"), refusals.note("batch", "405")] == [True, False]
    assert refusals.facts == [("batch", "refused (501): made another way")]
    clock.now += 3600
    assert "batch" not in refusals
    assert refusals.facts == []
    assert refusals.note("batch", "405")
