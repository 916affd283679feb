from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.checksum import crc32c
from dxflow_async.providers.contract import Part, PartReceipt
from dxflow_async.transfer.items.repair import PartChecksums


@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    bad=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    misread=st.sets(st.integers(0, 59), max_size=3),
    seed=st.integers(0, 1000),
)
def test_parts_that_came_wrong_are_named(sizes: list[int], bad: set[int], misread: set[int], seed: int) -> None:
    """Whichever parts came wrong, and whichever others were read wrong the second time: the former are named."""
    random = Random(seed)
    parts = [random.randbytes(size) for size in sizes]
    bad = {number % len(parts) for number in bad}
    misread = {number % len(parts) for number in misread} - bad
    readings, receipts, offset = PartChecksums(), [], 0
    for number, data in enumerate(parts):
        stored = crc32c(data) ^ (random.randrange(1, 1 << 32) if number in bad else 0)
        receipts.append(PartReceipt(Part(number, offset, len(data)), crc32c=stored))
        readings.add(number, crc32c(data) ^ (random.randrange(1, 1 << 32) if number in misread else 0))
        offset += len(data)
    values = {receipt.part.number: receipt.crc32c for receipt in receipts}
    wrong = readings.wrong(receipts, values, crc32c(b"".join(parts)))
    assert sorted(receipt.part.number for receipt in wrong) == sorted(bad)


def test_nothing_is_named_without_a_right_reading() -> None:
    """A part that came wrong both times has to be read once more."""
    readings, data = PartChecksums(), b"content"
    receipts = [PartReceipt(Part(1, 0, 7), crc32c=1)]
    readings.add(1, 2)
    assert readings.wrong(receipts, {1: 1}, crc32c(data)) == []
    readings.add(1, crc32c(data))
    assert readings.wrong(receipts, {1: 1}, crc32c(data)) == receipts
