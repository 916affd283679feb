"""Bytes that are filled before anybody sees them."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

from dxflow_async.streams import WritableBytes


def test_an_abandoned_one_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of a read that failed may be collected in a cycle with its view; that is no error."""
    errors: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", errors.append)
    for _ in range(50):
        memory = WritableBytes(1000)
        cycle: list[Any] = [memory, memory._file, memoryview(memory.view)]
        cycle.append(cycle)
        del memory, cycle
        gc.collect()
    assert errors == []
