"""HMAC-SHA256 with one key for many requests."""

from __future__ import annotations

import hmac

__all__ = ["HMACKey"]


class HMACKey:
    """A key that is prepared once.

    `hmac.digest` releases the interpreter lock, and other threads keep it for far longer than a signature takes.
    """

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")

    def sign(self, text: str) -> bytes:
        """Returns the digest of a text in UTF-8."""
        signing = self._keyed.copy()
        signing.update(text.encode())
        return signing.digest()
