"""Progress as text: golden lines of bars and log lines, and the values they are made of."""

from __future__ import annotations

import pytest

from dxflow_async import Rate
from dxflow_async.models import Progress
from dxflow_async.progress_text import bar_lines, progress_text

LARGE = Progress(2, 5, 3_000_000_000, 12_000_000_000, 0, 0, 40.0, 64, rate=Rate(80e6, 0.1))
SMALL = Progress(12_000, 48_000, 60_000_000, 240_000_000, 3, 7, 10.0, 128, rate=Rate(6e6, 1200.0))
WAITING = Progress(0, 21, 0, 16_000_000, 0, 12, 4.0, waiting_for="127.0.0.1:41999 refuses; try 4 of 10 in 2 s")
UNKNOWN = Progress(7, None, 9_000_000, None, 0, 0, 3.0, 8, "comparing", Rate(3e6, 2.0))
DELETING = Progress(3000, None, 0, None, 0, 0, 3.0, 8, "deleting", Rate(0, 1000.0))


def shown(progress: Progress, width: int, label: str = "copying") -> str:
    """The bar as lines."""
    found = bar_lines(progress, width, label=label, ascii_only=True)
    return "\n".join([f"{found.before}{found.done}{found.left}{found.after}".rstrip(), *found.below])


@pytest.mark.parametrize(
    ("progress", "width", "text"),
    [
        (LARGE, 40, "copying 25% 3.0 GB of 12.0 GB\n2 of 5 files, 64 at a time"),
        (
            LARGE,
            80,
            "copying 25% ######-------------------- 3.0 GB of 12.0 GB  80.0 MB/s  1:52 left\n"  # noqa: ISC004
            "2 of 5 files, 64 at a time",
        ),
        (SMALL, 40, "copying 25% 12,000 of 48,000 files\n60.0 MB of 240.0 MB, 128 at a time, 7\nretries, 3 failed"),
        (
            WAITING,
            40,
            (
                "copying 0% 0 bytes of 16.0 MB\n0 of 21 files, 12 retries\n"
                "waits: 127.0.0.1:41999 refuses; try 4\nof 10 in 2 s"
            ),
        ),
        (UNKNOWN, 80, "comparing 9.0 MB  3.0 MB/s\n7 files, 8 at a time"),
        (DELETING, 80, "deleting 3,000 deleted  1,000 files/s\n8 at a time"),
    ],
)
def test_bars(progress: Progress, width: int, text: str) -> None:
    """What fits, in the order of its importance."""
    assert shown(progress, width) == text


@pytest.mark.parametrize("progress", [LARGE, SMALL, WAITING, UNKNOWN, DELETING])
def test_bars_of_every_width_fit(progress: Progress) -> None:
    """No line reaches the last column, so that the terminal never wraps one."""
    for width in range(20, 220):
        assert max(map(len, shown(progress, width).splitlines())) < width


def test_lines() -> None:
    """One line has everything."""
    assert progress_text(SMALL) == (
        "moving: 12,000 of 48,000 files, 60.0 MB of 240.0 MB, 25%, 1,200 files/s, 30 s left, 128 at a time, "
        "7 retries, 3 failed"
    )
    assert progress_text(UNKNOWN) == "comparing: 7 files, 9.0 MB, 3.0 MB/s, 8 at a time"


def test_old_and_new_names_of_progress() -> None:
    """Items and bytes have short names; what is not known is None."""
    assert (SMALL.items, SMALL.items_total, SMALL.bytes, SMALL.fraction) == (12_000, 48_000, 60_000_000, 0.25)
    assert (SMALL.eta, LARGE.eta) == (30.0, 112.5)
    assert (UNKNOWN.fraction, UNKNOWN.eta) == (None, None)
    assert Progress(0, 0, 0, 0, 0, 0, 0.0).fraction == 1.0
