"""The public interface is what is recorded, so that no change of it goes unnoticed."""

from __future__ import annotations

from tests.public_api import RECORD, describe


def test_the_public_interface_is_the_recorded_one() -> None:
    """Names, signatures and attributes are those of `public_api.txt`; `python -m tests.public_api` renews it."""
    recorded, now = RECORD.read_text("utf-8").splitlines(), describe().splitlines()
    gone, new = sorted(set(recorded) - set(now)), sorted(set(now) - set(recorded))
    advice = "if that is meant, keep what is gone for one more minor version with a warning, and renew the record"
    assert (gone, new) == ([], []), advice
    assert now == recorded
