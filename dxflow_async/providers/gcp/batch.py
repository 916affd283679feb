"""Sends many small requests as one.

Source: https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

__all__ = ["BATCH_SIZE", "batch_answers", "batch_body"]

BATCH_SIZE = 100
"""The most requests in one batch."""

_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)')
_CONTENT_ID = re.compile(rb"content-id:[ \t]*<?response-(\d{1,6})>?[ \t]*", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.\d (\d{3})(?!\d)")

_MAX_HEAD_SIZE = 64 << 10
"""The most bytes of a head, which starts every part and every response in it."""


def batch_body(method: str, paths: Sequence[str]) -> tuple[str, bytes]:
    """Returns the content type and body of a batch of requests without bodies; paths are escaped, with their query."""
    boundary = secrets.token_hex(16)
    head = f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: "
    requests = "".join(
        [f"{head}<{number}>\r\n\r\n{method} {path} HTTP/1.1\r\n\r\n\r\n" for number, path in enumerate(paths)]
    )
    return f"multipart/mixed; boundary={boundary}", f"{requests}--{boundary}--\r\n".encode("ascii")


def batch_answers(content_type: str, data: bytes, count: int) -> list[tuple[int, bytes]]:
    """Returns the status and body of each response, in the order of the requests.

    The time that it takes grows with the size of the body and nothing else, whatever the body contains.

    Raises:
        ValueError: a response is missing or repeated, or the body is something else.
    """
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise ValueError("it is no batch")
    answers: dict[int, tuple[int, bytes]] = {}
    for part in data.split(b"--" + boundary[1].encode(), count + 1)[1:]:
        if part.startswith(b"--"):
            break
        head, http = _split_head(part.lstrip(b"\r\n"))
        number = next((int(found[1]) for line in head.splitlines() if (found := _CONTENT_ID.fullmatch(line))), None)
        status = _STATUS.match(http)
        if number is None or status is None:
            raise ValueError("a part of it is no answer")
        if number in answers:
            raise ValueError("it answers a request twice")
        answers[number] = int(status[1]), _split_head(http)[1].strip()
    if sorted(answers) != list(range(count)):
        raise ValueError(f"it answers {len(answers)} of {count} requests")
    return [answers[number] for number in range(count)]


def _split_head(data: bytes) -> tuple[bytes, bytes]:
    """Splits bytes at the first empty line; both line ends are known, as some servers send bare line feeds."""
    ends = [(data.find(end, 0, _MAX_HEAD_SIZE), len(end)) for end in (b"\r\n\r\n", b"\n\n")]
    at, size = min(((at, size) for at, size in ends if at >= 0), default=(len(data), 0))
    return data[:at], data[at + size :]
