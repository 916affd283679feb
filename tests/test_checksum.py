from __future__ import annotations

import pytest
from awscrt import checksums
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.checksum import combine, crc32c, decode, encode, joined, label


def test_known_value() -> None:
    """The check value of the catalogue of CRCs."""
    assert crc32c(b"123456789") == 0xE3069283
    assert label(0xE3069283) == "crc32c:4waSgw=="
    assert label(None) is None


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_a_whole_from_its_parts(parts: list[bytes]) -> None:
    """The checksum of a whole is that of its parts put together, and that of one after the other."""
    whole = crc32c(b"".join(parts))
    assert combine((crc32c(part), len(part)) for part in parts) == whole
    value = 0
    for part in parts:
        value = crc32c(memoryview(bytearray(part)), value)
    assert value == whole


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(1, 5 << 40))
def test_joined_as_another_library_does(first: int, second: int, size: int) -> None:
    """Pieces of whatever size give what an independent implementation says."""
    assert joined(first, second, size) == checksums.combine_crc32c(first, second, size)


def test_a_whole_with_a_part_unknown() -> None:
    """One unknown part leaves the whole unknown."""
    assert combine([(crc32c(b"a"), 1), (None, 1)]) is None


@given(st.integers(0, 2**32 - 1))
def test_encoded_and_decoded(value: int) -> None:
    """What was encoded is decoded to the same."""
    assert decode(encode(value)) == value


@pytest.mark.parametrize("text", [None, "", "4waSgw==-3", "not base64", "AAAA", "AAAAAAAA", "é"])
def test_no_checksum(text: str | None) -> None:
    """A checksum of checksums, or anything that is not four bytes, is none."""
    assert decode(text) is None


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 200_000])
def test_small_and_large_are_one_checksum(size: int) -> None:
    """In whichever kind of buffer, and whether the interpreter is let go of or not, it is one checksum."""
    data = bytes(range(256)) * 800
    value = crc32c(memoryview(bytearray(data))[size:], crc32c(data[:size]))
    assert value == crc32c(data) == crc32c(bytearray(data)) == crc32c(memoryview(data))
