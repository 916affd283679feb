"""What a sync of very many objects takes of memory, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_REASON = "only Linux tells a process's own peak, in /proc: what getrusage tells begins with that of its parent"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=_REASON)

_ROOT = Path(__file__).parents[3]
_MiB = 1 << 10  # in KiB


def sync(count: int, case: str, journal: str = "journal") -> dict[str, int]:
    command = [sys.executable, "-m", "tests.transfer.measure_sync_memory", str(count), case, journal]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("count", "case", "copied", "deleted"),
    [
        (100_000, "same", 0, 0),
        pytest.param(60_000, "other sizes", 60_000, 0, marks=pytest.mark.long),
        pytest.param(60_000, "other names", 60_000, 60_000, marks=pytest.mark.long),
    ],
)
def test_memory_does_not_grow_with_the_directories(count: int, case: str, copied: int, deleted: int) -> None:
    """Neither listings nor reports are kept whole: so many entries, or results, would take more than 20 MiB."""
    found = sync(count, case, "none")
    assert (found["copied"], found["deleted"], found["items"]) == (copied, deleted, copied + deleted)
    assert found["grown"] < 16 * _MiB


@pytest.mark.long
def test_what_a_journal_gathers_is_bounded() -> None:
    """A journal writes what it is told long before that is 300,000 items, which would take twice as much."""
    found = sync(300_000, "other sizes")
    assert (found["copied"], found["items"]) == (300_000, 300_000)
    assert found["grown"] < 64 * _MiB


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_million_objects_on_either_side() -> None:
    """A million copied and a million deleted: all of the process stays far below 300 MiB."""
    found = sync(1_000_000, "other names")
    assert (found["copied"], found["deleted"], found["items"]) == (1_000_000, 1_000_000, 2_000_000)
    assert found["grown"] < 200 * _MiB
