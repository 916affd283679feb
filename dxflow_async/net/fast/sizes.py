"""Sizes of the fast lane, in bytes."""

__all__ = ["CHUNK_SIZE", "INBOX_SIZE", "MAX_HEAD_SIZE", "PLENTY", "READ_BUFFER_SIZE"]

READ_BUFFER_SIZE = 128 << 10
"""Bytes of a body that are kept for a reader before the peer has to wait."""

CHUNK_SIZE = 128 << 10
"""The most bytes that `Response.read` returns: malloc serves blocks of this size without asking the system."""

PLENTY = 64 << 10
"""Bytes of a body that have arrived when a worker thread takes over."""

INBOX_SIZE = 32 << 10
"""Bytes that are received at a time while it is not known whether they belong to a head or a body."""

MAX_HEAD_SIZE = 64 << 10
"""The most bytes of a response's head, its interim responses included, and of trailers and chunk extensions."""
