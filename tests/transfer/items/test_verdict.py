from __future__ import annotations

import pytest

from dxflow_async.providers.contract import Entry, Features, Part, PartReceipt
from dxflow_async.transfer.items.verification import Verification

PLAIN, TOLD = Features(), Features(checksum=True)


def entry(crc32c: int | None) -> Entry:
    return Entry("x", 1, crc32c=crc32c)


@pytest.mark.parametrize(
    ("source", "destination", "moved", "read", "stored", "expected"),
    [
        (TOLD, TOLD, 1, 1, 1, True),
        (TOLD, PLAIN, 1, 1, None, True),
        (PLAIN, TOLD, 1, None, 1, True),
        (TOLD, TOLD, 1, 2, 1, False),
        (TOLD, TOLD, 1, 1, 2, False),
        (PLAIN, TOLD, 1, None, 2, False),
        (TOLD, TOLD, 1, None, 1, None),
        (TOLD, TOLD, 1, 1, None, None),
        (TOLD, TOLD, 1, None, 2, False),
        (TOLD, TOLD, None, None, None, None),
        (TOLD, PLAIN, None, 1, None, False),
        (PLAIN, PLAIN, 1, None, None, None),
    ],
)
def test_verdicts(
    source: Features,
    destination: Features,
    moved: int | None,
    read: int | None,
    stored: int | None,
    expected: bool | None,
) -> None:
    """A copy is verified when every side that keeps checksums tells that of the bytes, and wrong when any differs."""
    assert Verification(source, destination).verdict(moved, entry(read), entry(stored)) is expected


def test_a_read_that_was_compared_needs_no_checksum_of_the_source() -> None:
    """Bytes that have the other digest which the source reports are verified without a CRC32C of the source."""
    checks = Verification(TOLD, PLAIN)
    checks.compared = True
    assert checks.verdict(1, entry(None), entry(None)) is True


def test_parts_that_make_the_whole_are_not_read_again() -> None:
    """Without a checksum to compare with, and with one that fits, no part is wrong; else all are read again first."""
    receipts = [PartReceipt(Part(1, 0, 4), None, 7)]
    checks = Verification(TOLD, TOLD)
    assert checks.wrong_parts(receipts, entry(None)) is None
    assert checks.wrong_parts(receipts, entry(7)) is None
    assert not checks.rereads
    assert checks.wrong_parts(receipts, entry(8)) == []
    assert checks.rereads
