"""Deletes many blobs in one request: Azure's Blob Batch, which is multipart in both directions.

Source: https://learn.microsoft.com/rest/api/storageservices/blob-batch
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from dxflow_async.providers.azure.errors import parse_error

__all__ = ["MAX_BATCH", "Answer", "MalformedBatchError", "batch_answers", "batch_body"]

MAX_BATCH = 256
"""The most requests in one batch."""

_MAX_HEAD_SIZE = 64 << 10

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})\b")


class MalformedBatchError(ValueError):
    """The body is not the responses to a batch, or some are missing."""


class Answer(NamedTuple):
    """The response to one request of a batch."""

    status: int
    headers: dict[str, str]
    code: str
    message: str


def batch_body(requests: Sequence[tuple[str, dict[str, str]]]) -> tuple[str, bytes]:
    """Returns the content type and the body of DELETE requests, each given by its target and headers."""
    boundary, parts = f"batch_{secrets.token_hex(16)}", []
    for number, (target, headers) in enumerate(requests):
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        parts.append(
            f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\nDELETE {target} HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n"
        )
    return f"multipart/mixed; boundary={boundary}", "".join([*parts, f"--{boundary}--\r\n"]).encode()


def batch_answers(content_type: str, data: bytes, count: int) -> list[Answer]:
    """Returns the responses to `count` requests, in their order; a refusal of the whole batch is a single response.

    Raises:
        MalformedBatchError: a response is missing, or the body is something else.
    """
    found = re.search(r'boundary="?([^";,\s]+)', content_type)
    if found is None:
        raise MalformedBatchError("an answer without parts")
    answers: dict[int | None, Answer] = {}
    # Not more pieces than there can be, whatever the body contains.
    *parts, end = data.split(b"--" + found.group(1).encode(), count + 1)
    if not parts or end.strip() != b"--":
        raise MalformedBatchError("an answer without an end")
    for part in parts[1:]:
        head, _, http = part.partition(b"\r\n\r\n")
        if http:
            text = _fields(head).get("content-id", "")
            number = int(text) if re.fullmatch("[0-9]{1,6}", text) else None
            if number in answers:
                raise MalformedBatchError("two answers to one request")
            answers[number] = _answer(http)
    whole = answers.get(None)
    if whole is not None and len(answers) == 1 and whole.status >= 300:
        return [whole]
    if set(answers) != set(range(count)):
        raise MalformedBatchError(f"{len(answers)} answers to {count} requests")
    return [answers[number] for number in range(count)]


def _answer(http: bytes) -> Answer:
    status = _STATUS.match(http)
    if status is None:
        raise MalformedBatchError("a part that is no answer")
    head, _, body = http.partition(b"\r\n\r\n")
    headers = _fields(head.partition(b"\r\n")[2])
    return Answer(int(status.group(1)), headers, *parse_error(headers, body.strip()))


def _fields(head: bytes) -> dict[str, str]:
    if len(head) > _MAX_HEAD_SIZE:
        raise MalformedBatchError(f"headers of {len(head)} bytes")
    lines = [line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n")]
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}
