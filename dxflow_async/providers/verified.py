"""Readings that are compared with more than a CRC32C: other checksums, and the size where the answer tells none.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dxflow_async.exceptions import ChecksumMismatchError
from dxflow_async.providers.base import Buffer, Entry, Reading, Run, Write
from dxflow_async.providers.confirm import contradiction
from dxflow_async.providers.http import HTTP, Call, HTTPReading
from dxflow_async.providers.response import Response

__all__ = ["CountedReading", "ExpectedDigest", "VerifiedReading", "body_reading", "md5_expected", "s3_expected"]

Update = Callable[[Buffer], None]


class _CRC:
    """A checksum that is computed by a function of the bytes and the value so far, as hashlib's digests are used."""

    def __init__(self, function: Callable[..., int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Buffer) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class ExpectedDigest(NamedTuple):
    """A digest that an object has to have: the algorithm's name, as in `_NEW`, and its bytes."""

    algorithm: str
    value: bytes


def _crc64nvme() -> _CRC:
    from awscrt import checksums

    return _CRC(lambda data, value: checksums.crc64nvme(bytes(data), value), 8)


_NEW: dict[str, Callable[[], _CRC | hashlib._Hash]] = {
    "crc64nvme": _crc64nvme,
    "crc32": lambda: _CRC(zlib.crc32, 4),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}


def s3_expected(headers: Mapping[str, str]) -> ExpectedDigest | None:
    """The digest of a whole object that S3 tells in `x-amz-checksum-*`; None where it tells none but a CRC32C."""
    for algorithm in ("crc64nvme", "crc32", "sha256", "sha1"):
        expected = _decoded(algorithm, headers.get(f"x-amz-checksum-{algorithm}"))
        if expected is not None:
            return expected
    return None


def md5_expected(text: str | None) -> ExpectedDigest | None:
    """The MD5 of a whole object, as `Content-MD5` and its kin tell it; None where there is none."""
    return _decoded("md5", text)


def _decoded(algorithm: str, text: str | None) -> ExpectedDigest | None:
    if not text or "-" in text:  # `...-3` is the checksum of the checksums of three parts
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return ExpectedDigest(algorithm, value) if len(value) == len(_NEW[algorithm]().digest()) else None


@dataclass(slots=True)
class VerifiedReading(HTTPReading):
    """The body of a response that has to have a digest. It is compared before the last bytes are handed on.

    Attributes:
        expected: what the service told.
    """

    expected: ExpectedDigest | None = None
    _digest: _CRC | hashlib._Hash | None = None
    _left: int = 0

    def __post_init__(self) -> None:
        assert self.expected is not None
        self._digest = _NEW[self.expected.algorithm]()
        self._left = self.size

    async def read(self) -> Buffer:
        chunk = await HTTPReading.read(self)
        self._passed(chunk)
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        size = await HTTPReading.readinto(self, buffer)
        self._passed(buffer[:size])
        return size

    async def pour(self, buffer: memoryview, write: Write, run: Run) -> int:
        if self.http.throttle is not None:
            return await Reading.pour(self, buffer, write, run)

        def compare_and_write(data: memoryview) -> None:
            self._passed(data)
            write(data)

        return await HTTPReading.pour(self, buffer, compare_and_write, run)

    def _passed(self, data: Buffer) -> None:
        """Takes bytes in, in their order; with the last ones the digest is compared.

        Raises:
            ChecksumMismatchError: it is another one.
        """
        assert self._digest is not None
        assert self.expected is not None
        if not data:
            _check_left(self.call, self.size, self._left)
            return
        self._digest.update(data)
        self._left -= len(data)
        if self._left:
            return
        if self._digest.digest() != self.expected.value:
            said = f"the bytes that arrived have another {self.expected.algorithm.upper()} than the object; try again"
            raise self.call.error(ChecksumMismatchError, said)
        self.verified = True


@dataclass(slots=True)
class CountedReading(HTTPReading):
    """The body of a response that does not say how long it is: it has to be as long as the object."""

    _left: int = 0

    def __post_init__(self) -> None:
        self._left = self.size

    async def read(self) -> Buffer:
        chunk = await HTTPReading.read(self)
        self._passed(len(chunk))
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        size = await HTTPReading.readinto(self, buffer)
        self._passed(size)
        return size

    async def pour(self, buffer: memoryview, write: Write, run: Run) -> int:
        return await Reading.pour(self, buffer, write, run)

    def _passed(self, size: int) -> None:
        self._left -= size
        if not size or self._left < 0:
            _check_left(self.call, self.size, self._left)


def body_reading(
    entry: Entry, size: int, http: HTTP, call: Call, response: Response, crc32c: int | None = None
) -> HTTPReading:
    """The body of a response, which is counted where the response does not say how long it is."""
    cls = HTTPReading if "content-length" in response.headers else CountedReading
    return cls(entry, size, http, call, response, crc32c)


def _check_left(call: Call, size: int, left: int) -> None:
    if left:
        raise contradiction(call, f"{size - left} bytes came of {size}")
