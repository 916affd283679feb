"""Checksums other than CRC32C that services report for whole objects, computed as the bytes pass.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import sys
import zlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.util import find_spec
from typing import NamedTuple

from dxflow_async.checksum import CRC32, CRC32C, CRC64NVME, crc32c, joined
from dxflow_async.streams import Buffer

__all__ = [
    "ExpectedDigest",
    "RunningDigest",
    "decoded",
    "digest_of",
    "is_combinable",
    "joiner",
    "md5_expected",
    "s3_expected",
]


class ExpectedDigest(NamedTuple):
    """The digest that an object must have.

    Attributes:
        algorithm: `"sha256"`, `"sha1"`, `"md5"`, `"crc64nvme"`, `"crc32"` or `"crc32c"`.
        value: its bytes, the highest first.
    """

    algorithm: str
    value: bytes

    @property
    def shown(self) -> str:
        """The digest's name, as errors show it."""
        return self.algorithm.upper()

    def running(self) -> RunningDigest:
        """Returns a digest without bytes that computes this one."""
        return RunningDigest(self.algorithm)

    def judge(self, key: str, found: bytes, *, again: bool = False) -> bool | None:
        """Returns whether a computed digest is this one; see `PresumedDigest.judge`.

        Args:
            key: the object's; without effect here.
            found: the computed digest, the highest byte first.
            again: without effect here, because the digest is certain.

        Returns:
            True or False, never None.
        """
        return found == self.value


class _CRC:
    """Computes a CRC with the interface of the digests of hashlib."""

    def __init__(self, function: Callable[..., int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Buffer) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _computes_crc64nvme() -> bool:
    """Returns whether awscrt is installed. A digest that cannot be computed proves nothing."""
    if "awscrt" in sys.modules:
        return sys.modules["awscrt"] is not None
    return _is_installed("awscrt")


@cache
def _is_installed(module: str) -> bool:
    return find_spec(module) is not None


def _crc64nvme() -> _CRC:
    from awscrt import checksums

    return _CRC(checksums.crc64nvme, 8)


_NEW: dict[str, Callable[[], _CRC | hashlib._Hash]] = {
    "crc64nvme": _crc64nvme,
    "crc32": lambda: _CRC(zlib.crc32, 4),
    "crc32c": lambda: _CRC(crc32c, 4),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}

_FIELDS = {"crc64nvme": CRC64NVME, "crc32": CRC32, "crc32c": CRC32C}

_SIZES = {"crc64nvme": 8, "crc32": 4, "crc32c": 4, "sha1": 20, "sha256": 32, "md5": 16}


class RunningDigest:
    """The digest of the bytes so far.

    Args:
        algorithm: as in `ExpectedDigest`.
    """

    __slots__ = ("_state", "algorithm")

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._state = _NEW[algorithm]()

    def update(self, data: Buffer) -> None:
        """Adds the next bytes. Blocks while they are hashed.

        Args:
            data: of any size.
        """
        self._state.update(data)

    @property
    def value(self) -> bytes:
        """The digest of all bytes so far."""
        return self._state.digest()


def digest_of(algorithm: str, data: Buffer) -> bytes:
    """Returns the digest of bytes in memory."""
    running = RunningDigest(algorithm)
    running.update(data)
    return running.value


def is_combinable(algorithm: str) -> bool:
    """Returns whether the digest of a whole can be computed from those of its parts."""
    return algorithm in _FIELDS


def joiner(algorithm: str) -> Callable[[int, int, int], int]:
    """Returns a function that joins the checksums of two consecutive pieces, given the size of the second in bytes.

    Args:
        algorithm: one that `is_combinable`.

    Example:
        >>> joiner("crc32")(zlib.crc32(b"12"), zlib.crc32(b"3"), 1) == zlib.crc32(b"123")
        True
    """
    return partial(joined, field=_FIELDS[algorithm])


def s3_expected(headers: Mapping[str, str]) -> ExpectedDigest | None:
    """Returns the digest of a whole object from `x-amz-checksum-*`; None if there is none besides CRC32C."""
    if headers.get("x-amz-checksum-type", "").upper() == "COMPOSITE":
        return None
    for algorithm in ("crc64nvme", "crc32", "sha256", "sha1"):
        expected = decoded(algorithm, headers.get(f"x-amz-checksum-{algorithm}"))
        if expected is not None:
            return expected
    return None


def md5_expected(text: str | None) -> ExpectedDigest | None:
    """Returns the MD5 of a whole object from `Content-MD5` and similar headers; None if there is none."""
    return decoded("md5", text)


def decoded(algorithm: str, text: str | None) -> ExpectedDigest | None:
    """Returns the digest of a whole object from base64; None for anything else, such as a digest of digests."""
    if text is None:  # most of the headers that are asked for are not there
        return None
    if algorithm == "crc64nvme" and not _computes_crc64nvme():
        return None
    text = text.strip().strip('"')
    if not text or "-" in text:  # `...-3` is a checksum of the checksums of three parts
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return ExpectedDigest(algorithm, value) if len(value) == _SIZES[algorithm] else None
