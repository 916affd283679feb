"""The fast lane's response reader against any bytes, cut anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.fuzz.responses import ANSWERS, CUTS, METHODS, exchange, oracle

_OPTIONS: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}
_SECONDS = 60.0


def holds(method: str, data: bytes, cuts: Sequence[int]) -> None:
    """Nothing but a `NetError` is raised; an answer is what it says; and it is the same however it was cut."""
    whole = exchange(method, data, ())
    oracle(whole)
    cut = exchange(method, data, cuts)
    oracle(cut)
    if whole is not None and cut is not None:
        assert whole[:3] == cut[:3]


@settings(max_examples=150, **_OPTIONS)
@given(METHODS, ANSWERS, CUTS)
@example("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n", (55,))
@example("GET", b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (20,))
def test_a_few(method: str, data: bytes, cuts: Sequence[int]) -> None:
    """A handful of answers."""
    holds(method, data, cuts)


@pytest.mark.fuzz
@pytest.mark.timeout(600)
def test_many() -> None:
    """Other answers each time, for a minute."""
    end = monotonic() + _SECONDS
    while monotonic() < end:
        settings(max_examples=500, database=None, **_OPTIONS)(given(METHODS, ANSWERS, CUTS)(holds))()
