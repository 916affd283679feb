"""The heads of HTTP/1.1 requests.

Source: https://www.rfc-editor.org/rfc/rfc9112#section-2.1
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["build_head"]


class RequestHead(bytes):
    """A request's head; its repr shows nothing of it."""

    def __repr__(self) -> str:
        return "<head>"


def build_head(method: str, target: str, headers: Mapping[str, str], size: int | None = None) -> bytes:
    """A request's head; `size` is that of its body in bytes, where it has one.

    Raises:
        ValueError: a line break or a character beyond ASCII, which would be another head.
    """
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    length = "" if size is None else f"content-length: {size}\r\n"
    head = f"{method} {target} HTTP/1.1\r\n{lines}{length}\r\n"
    breaks = len(headers) + (3 if length else 2)
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
        raise ValueError("a header has a line break in it")
    return RequestHead(head.encode("ascii"))
