"""Checksums of what is received: CRC32C of everything, and whatever else a sender asks to be compared.

The CRC32C of a file is kept beside it, in an extended attribute, with the size and time it is of: when somebody else
changes the file, it counts no more. Where the file system keeps no attributes nothing is said of a checksum.
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
"""What can be compared; the tus protocol demands sha1."""

_SIZES = {"crc32c": 4, "sha256": 32, "sha1": 20, "md5": 16}
_ATTRIBUTE = "user.dxflow.crc32c"


def crc32c(chunks: Sequence[Buffer], value: int = 0) -> int:
    """The checksum of what came before (`value`) and the chunks."""
    for chunk in chunks:
        value = checksum.crc32c(chunk, value)
    return value


@dataclass(frozen=True, slots=True)
class Expected:
    """A checksum that somebody sent: one of `ALGORITHMS`, and its bytes."""

    algorithm: str
    digest: bytes

    def matches(self, digest: bytes) -> bool:
        """Whether it is that one."""
        return hmac.compare_digest(self.digest, digest)


class Hashing:
    """What an `Expected` is compared with, fed piece by piece; CRC32C is computed elsewhere anyway."""

    def __init__(self, expected: Expected | None) -> None:
        self._expected = expected
        name = "" if expected is None else expected.algorithm
        self._hash = None if name in ("", "crc32c") else hashlib.new(name, usedforsecurity=False)

    def update(self, chunks: Sequence[Buffer]) -> None:
        """Takes the next bytes."""
        if self._hash is not None:
            for chunk in chunks:
                self._hash.update(chunk)

    def agrees(self, crc: int) -> bool:
        """Whether all bytes, whose CRC32C is `crc`, are the expected ones; True when none were."""
        if self._expected is None:
            return True
        return self._expected.matches(crc.to_bytes(4, "big") if self._hash is None else self._hash.digest())


def parse_expected(text: str) -> Expected | None:
    """What `sha1 <base64>` means; None when it is not of that form or the algorithm is not known."""
    algorithm, _, encoded = text.strip().partition(" ")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    return Expected(algorithm, digest) if len(digest) == _SIZES.get(algorithm) else None


def keep(descriptor: int, crc: int, size: int, modified_ns: int) -> None:
    """Notes the checksum of a file, where the file system can. Blocks."""
    if hasattr(os, "setxattr"):
        with contextlib.suppress(OSError):
            os.setxattr(descriptor, _ATTRIBUTE, f"{crc:08x} {size} {modified_ns}".encode())


def stored(file: int | str, status: os.stat_result) -> int | None:
    """The noted checksum of a file (a descriptor or a path), if it is of these bytes still. Blocks."""
    if not hasattr(os, "getxattr"):
        return None
    try:
        crc, size, modified_ns = os.getxattr(file, _ATTRIBUTE).split()
        fits = (int(size), int(modified_ns)) == (status.st_size, status.st_mtime_ns)
        return int(crc, 16) if fits and 0 <= int(crc, 16) < 1 << 32 else None
    except (OSError, ValueError):
        return None
