"""Checksums of received bytes: CRC32C of everything, and any other checksum that a sender asks to be compared.

The CRC32C of a file is kept in an extended attribute, with the size and time of the file that it belongs to. When
somebody else changes the file, it no longer counts. File systems without attributes keep no checksums.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass

from dxflow_async import checksum

__all__ = ["ALGORITHMS", "Expected", "crc32c", "keep", "parse_expected", "stored"]

Buffer = bytes | bytearray | memoryview

ALGORITHMS = ("crc32c", "sha256", "sha1", "md5")
"""Algorithms that can be compared. The tus protocol requires sha1."""

_SIZES = {"crc32c": 4, "sha256": 32, "sha1": 20, "md5": 16}
_ATTRIBUTE = "user.dxflow.crc32c"


def crc32c(chunks: Sequence[Buffer], value: int = 0) -> int:
    """Returns the checksum of the bytes before (`value`) and the chunks."""
    for chunk in chunks:
        value = checksum.crc32c(chunk, value)
    return value


@dataclass(frozen=True, slots=True)
class Expected:
    """A checksum that a client sent: one of `ALGORITHMS`, and its bytes."""

    algorithm: str
    digest: bytes

    def matches(self, digest: bytes) -> bool:
        """Returns whether `value` is that checksum."""
        return hmac.compare_digest(self.digest, digest)


class Hashing:
    """Computes the digest to compare an `Expected` with, piece by piece. CRC32C is computed elsewhere anyway."""

    def __init__(self, expected: Expected | None) -> None:
        self._expected = expected
        name = "" if expected is None else expected.algorithm
        self._hash = None if name in ("", "crc32c") else hashlib.new(name, usedforsecurity=False)

    def update(self, chunks: Sequence[Buffer]) -> None:
        """Adds the next bytes."""
        if self._hash is not None:
            for chunk in chunks:
                self._hash.update(chunk)

    def agrees(self, crc: int) -> bool:
        """Returns whether the bytes, whose CRC32C is `crc`, are the expected ones; True if nothing is expected."""
        if self._expected is None:
            return True
        return self._expected.matches(crc.to_bytes(4, "big") if self._hash is None else self._hash.digest())


def parse_expected(text: str) -> Expected | None:
    """Parses `sha1 <base64>`. Returns None if the form is another one, or the algorithm is not known."""
    algorithm, _, encoded = text.strip().partition(" ")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    return Expected(algorithm, digest) if len(digest) == _SIZES.get(algorithm) else None


def keep(descriptor: int, crc: int, size: int, modified_ns: int) -> None:
    """Stores the checksum of a file, if the file system can. Blocks."""
    if hasattr(os, "setxattr"):
        with contextlib.suppress(OSError):
            os.setxattr(descriptor, _ATTRIBUTE, f"{crc:08x} {size} {modified_ns}".encode())


def stored(file: int | str, status: os.stat_result) -> int | None:
    """Returns the stored checksum of a file (a descriptor or a path), if it still belongs to its bytes. Blocks."""
    if not hasattr(os, "getxattr"):
        return None
    try:
        crc, size, modified_ns = os.getxattr(file, _ATTRIBUTE).split()
        fits = (int(size), int(modified_ns)) == (status.st_size, status.st_mtime_ns)
        return int(crc, 16) if fits and 0 <= int(crc, 16) < 1 << 32 else None
    except (OSError, ValueError):
        return None
