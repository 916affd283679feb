"""What must hold for any input: a few examples of each in every run of the tests, five minutes of them on demand."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.properties import PROPERTIES, CachedListings

_SECONDS = 300.0 / (len(PROPERTIES) + 1)
_FEW: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_few(name: str) -> None:
    """Each property, on a handful of inputs."""
    PROPERTIES[name](settings(max_examples=60, **_FEW))


def test_a_few_changes_of_listings() -> None:
    """The listing cache against a model, for a few chains of changes."""
    run_state_machine_as_test(CachedListings, settings=settings(max_examples=40, **_FEW))


@pytest.mark.fuzz
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", PROPERTIES)
def test_many(name: str) -> None:
    """Each property, on other inputs each time, for its share of five minutes."""
    end = monotonic() + _SECONDS
    while monotonic() < end:
        PROPERTIES[name](settings(max_examples=200, database=None, **_FEW))


@pytest.mark.fuzz
@pytest.mark.timeout(1200)
def test_many_changes_of_listings() -> None:
    """The listing cache against a model, for its share of five minutes."""
    end = monotonic() + _SECONDS
    while monotonic() < end:
        run_state_machine_as_test(CachedListings, settings=settings(max_examples=200, database=None, **_FEW))
