"""CRC32C of bytes as they pass, and of a whole from its parts.

Two libraries, which both use the processor's own instruction. AWS's releases the interpreter lock, takes any buffer and
is twice as fast, but loading it takes some 45 ms and 6 MiB: as much as sending hundreds of small files. So these are
done with Google's, and only who moves larger bodies loads the other one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import google_crc32c

__all__ = ["combine", "crc32c", "decode", "encode", "label"]

_SMALL = 64 << 10


def crc32c(data: bytes | bytearray | memoryview, value: int = 0) -> int:
    """The checksum of what came before (`value`) and `data`.

    Example:
        >>> crc32c(b"89", crc32c(b"1234567")) == crc32c(b"123456789") == 0xE3069283
        True
    """
    if len(data) <= _SMALL:
        return int(google_crc32c.extend(value, bytes(data)))
    from awscrt import checksums

    return int(checksums.crc32c(data, value))


def combine(parts: Iterable[tuple[int | None, int]]) -> int | None:
    """The checksum of a whole from (checksum, size in bytes) of its parts in order; None where one is not known.

    Example:
        >>> combine([(crc32c(b"1234"), 4), (crc32c(b"56789"), 5)]) == crc32c(b"123456789")
        True
    """
    from awscrt import checksums

    whole = 0
    for value, size in parts:
        if value is None:
            return None
        whole = checksums.combine_crc32c(whole, value, size)
    return whole


def encode(value: int) -> str:
    """As S3 and Google write it: the base64 of four bytes, the highest first."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def decode(text: str | None) -> int | None:
    """What `encode` wrote; None for anything else, such as S3's checksums of checksums (`...==-3`)."""
    if not text or "-" in text:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return int.from_bytes(value, "big") if len(value) == 4 else None


def label(value: int | None) -> str | None:
    """As results show it: `"crc32c:<base64>"`."""
    return None if value is None else f"crc32c:{encode(value)}"
