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

_BOUNDARY = re.compile(r'boundary="?([^";,]+)')
_ANSWER = re.compile(
    rb"content-id:\s*<response-(\d+)>.*?\nHTTP/1\.\d (\d{3})[^\n]*\n.*?(?:\r?\n){2}(.*)", re.IGNORECASE | re.DOTALL
)


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

    Raises:
        ValueError: a response is missing.
    """
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise ValueError("it is no batch")
    answers: dict[int, tuple[int, bytes]] = {}
    for piece in data.split(b"--" + boundary[1].encode()):
        found = _ANSWER.search(piece)
        if found is not None:
            answers[int(found[1])] = int(found[2]), found[3].strip()
    if sorted(answers) != list(range(count)):
        raise ValueError(f"it answers {len(answers)} of {count} requests")
    return [answers[number] for number in range(count)]
