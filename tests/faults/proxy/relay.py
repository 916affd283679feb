"""Bodies passed on as they come, perhaps with one bit changed."""

from __future__ import annotations

import asyncio
from random import Random

from tests.faults.proxy.listener import PIECE, Stream

__all__ = ["joined", "length_of", "relay", "relay_chunks"]


def length_of(head: bytes) -> int | None:
    """What a head announces; None where it does not."""
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return None


async def relay(
    reader: asyncio.StreamReader,
    to: Stream | None,
    size: int,
    flip: Random | None = None,
    keep: bytearray | None = None,
    margins: tuple[int, int] = (0, 0),
) -> None:
    """Passes `size` bytes on.

    Args:
        reader, to, size: what from where to where; to None: it is thrown away.
        flip: where one bit is to be changed, this says which.
        keep: takes a copy.
        margins: bytes at the beginning and at the end that are left as they are.
    """
    flipped = flip.randrange(margins[0], size - margins[1]) if flip is not None and size else -1
    position = 0
    while position < size:
        piece = await reader.read(min(PIECE, size - position))
        if not piece:
            raise EOFError
        if flip is not None and position <= flipped < position + len(piece):
            changed = bytearray(piece)
            changed[flipped - position] ^= 1 << flip.randrange(8)
            piece = bytes(changed)
        position += len(piece)
        if keep is not None:
            keep += piece
        if to is not None:
            await to.write(piece)


async def relay_chunks(reader: asyncio.StreamReader, to: Stream | None, keep: bytearray | None = None) -> None:
    """Passes a chunked body on, as it is."""
    size = -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if keep is not None:
            keep += line
        if to is not None:
            to.writer.write(line)
        await relay(reader, to, size + 2, keep=keep)


def joined(chunks: bytes | bytearray) -> bytes:
    """The content of a chunked body."""
    content, position = bytearray(), 0
    while True:
        end = chunks.index(b"\r\n", position)
        size = int(chunks[position:end].split(b";")[0], 16)
        if not size:
            return bytes(content)
        content += chunks[end + 2 : end + 2 + size]
        position = end + 2 + size + 2
