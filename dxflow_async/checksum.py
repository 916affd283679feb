"""CRC32C of bytes as they pass, and of a whole from its parts; the same arithmetic serves other CRCs.

Source: RFC 3720, section 12.1, and for the parts the arithmetic of zlib's `crc32_combine`
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import NamedTuple

__all__ = ["CRC32", "CRC32C", "CRC64NVME", "Field", "combine", "crc32c", "decode", "encode", "joined", "label"]


def _crc32c(data: bytes | bytearray | memoryview, value: int, mode: int) -> int:
    """Loads the extension and takes its place. It costs more to load than some commands take otherwise."""
    global _crc32c  # noqa: PLW0603 - the function below is called for each chunk, and must not look twice
    from crc32c import crc32c as loaded

    _crc32c = loaded  # type: ignore[assignment]
    return loaded(data, value, mode)


_SMALL = 64 << 10
_KEEP_INTERPRETER, _AS_IT_PAYS = 0, -1


class Field(NamedTuple):
    """The arithmetic of a CRC: polynomials over two elements, with the lowest power in the highest bit.

    Attributes:
        one: the polynomial 1.
        modulus: the polynomial that products are reduced by, without its highest power.
    """

    one: int
    modulus: int


CRC32C = Field(1 << 31, 0x82F63B78)
CRC32 = Field(1 << 31, 0xEDB88320)
CRC64NVME = Field(1 << 63, 0x9A6C9329AC4BC9B5)


def crc32c(data: bytes | bytearray | memoryview, value: int = 0) -> int:
    """Returns the checksum of the bytes before (whose checksum is `value`) followed by `data`.

    Args:
        data: the bytes.
        value: the CRC32C of the bytes before; 0 if there are none.

    Returns:
        The CRC32C, a number of 32 bits.

    Example:
        >>> crc32c(b"89", crc32c(b"1234567")) == crc32c(b"123456789") == 0xE3069283
        True
    """
    # Releasing the interpreter for a few microseconds costs more than it gains.
    return _crc32c(data, value, _KEEP_INTERPRETER if len(data) <= _SMALL else _AS_IT_PAYS)


def combine(parts: Iterable[tuple[int | None, int]]) -> int | None:
    """Returns the checksum of a whole from (checksum, size in bytes) of its parts, in order; None if one is not known.

    Example:
        >>> combine([(crc32c(b"1234"), 4), (crc32c(b"56789"), 5)]) == crc32c(b"123456789")
        True
    """
    whole = 0
    for value, size in parts:
        if value is None:
            return None
        whole = joined(whole, value, size)
    return whole


def joined(first: int, second: int, size: int, field: Field = CRC32C) -> int:
    """Returns the checksum of two consecutive pieces, given the size of the second in bytes."""
    return _product(_shift(size, field), first, field) ^ second


@lru_cache(maxsize=256)
def _shift(size: int, field: Field) -> int:
    """Returns the factor for a checksum that is followed by that many bytes: x to the power of their bits."""
    power = field.one
    for bit in range(size.bit_length()):
        if size >> bit & 1:
            power = _product(power, _square(bit, field), field)
    return power


@cache
def _square(times: int, field: Field) -> int:
    """Returns x to the eighth, squared that many times."""
    if not times:
        return field.one >> 8
    root = _square(times - 1, field)
    return _product(root, root, field)


def _product(first: int, second: int, field: Field) -> int:
    """Returns the product of two polynomials modulo the checksum's own."""
    (one, modulus), product = field, 0
    while first:
        if first & one:
            product ^= second
            first ^= one
        first <<= 1
        second = second >> 1 ^ (modulus if second & 1 else 0)
    return product


@lru_cache(maxsize=256)
def encode(value: int) -> str:
    """Encodes a checksum as S3 and Google do: the base64 of four bytes, the highest first."""
    return binascii.b2a_base64(value.to_bytes(4, "big"), newline=False).decode()


def decode(text: str | None) -> int | None:
    """Decodes a result of `encode`; returns None for anything else, such as checksums of checksums (`...==-3`)."""
    if not text or "-" in text:
        return None
    try:
        value = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return int.from_bytes(value, "big") if len(value) == 4 else None


def label(value: int | None) -> str | None:
    """Formats a checksum for results: `"crc32c:<base64>"`."""
    return None if value is None else f"crc32c:{encode(value)}"
