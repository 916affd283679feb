from __future__ import annotations

import hashlib
import zlib

import pytest
from awscrt import checksums
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.digests import RunningDigest, is_combinable, joiner

DATA = bytes(range(256)) * 5
WHOLE = {
    "crc32": zlib.crc32(DATA).to_bytes(4, "big"),
    "crc64nvme": checksums.crc64nvme(DATA).to_bytes(8, "big"),
    "md5": hashlib.md5(DATA).digest(),
    "sha1": hashlib.sha1(DATA).digest(),
    "sha256": hashlib.sha256(DATA).digest(),
}
COMBINABLE = pytest.mark.parametrize("algorithm", [name for name in WHOLE if is_combinable(name)])


@pytest.mark.parametrize("algorithm", WHOLE)
def test_bytes_that_pass(algorithm: str) -> None:
    """However the bytes are cut, and whatever holds them, the digest is that of all of them."""
    digest = RunningDigest(algorithm)
    for piece in (DATA[:7], bytearray(DATA[7:600]), b"", memoryview(DATA)[600:]):
        digest.update(piece)
    assert digest.value == WHOLE[algorithm]


@COMBINABLE
@given(first=st.binary(max_size=300), second=st.binary(max_size=300))
def test_a_whole_from_its_parts(algorithm: str, first: bytes, second: bytes) -> None:
    """The checksum of a whole is that of its parts put together."""

    def value_of(data: bytes) -> int:
        digest = RunningDigest(algorithm)
        digest.update(data)
        return int.from_bytes(digest.value, "big")

    assert joiner(algorithm)(value_of(first), value_of(second), len(second)) == value_of(first + second)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 5 << 40))
def test_joined_as_another_library_does(first: int, second: int, size: int) -> None:
    """Pieces of whatever size give what an independent implementation says."""
    assert joiner("crc64nvme")(first, second, size) == checksums.combine_crc64nvme(first, second, size)
    first, second = first >> 32, second >> 32
    assert joiner("crc32")(first, second, size) == checksums.combine_crc32(first, second, size)


@COMBINABLE
@given(
    one=st.integers(0, 2**32 - 1),
    other=st.integers(0, 2**32 - 1),
    rest=st.integers(0, 2**32 - 1),
    size=st.integers(1, 5 << 40),
)
def test_changes_add_up(algorithm: str, one: int, other: int, rest: int, size: int) -> None:
    """What a part's change does to the whole depends on nothing else: by that the wrong part is found."""
    join = joiner(algorithm)
    assert join(one, rest, size) ^ join(other, rest, size) == join(one ^ other, 0, size)
