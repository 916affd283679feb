"""The envelope of an engine's answers: an array of chunks, each with a kind and a payload.

One parser reads every framing: a buffered array, a streamed array with a chunk on each line, and lines without an
array. It takes bytes as they arrive, however they are cut.

Source: https://github.com/dxflow-ai/docs (04.api)
"""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "BrokenEnvelopeError", "EnvelopeParser", "is_success"]

_MAX_CHUNK = 1 << 20
"""The most characters of one chunk."""

_BETWEEN = " \t\r\n,\ufeff"


class BrokenEnvelopeError(ValueError):
    """The bytes are not an envelope, or it ends too early."""


@dataclass(slots=True)
class Answer:
    """What an envelope says.

    Attributes:
        statuses: the code and the message of each status chunk.
        total: how many entities there are, as the engine tells it; None if it does not.
        entities: the payloads, with their tags, which are mostly empty.
    """

    statuses: list[tuple[int, str]] = field(default_factory=list)
    total: int | None = None
    entities: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def failure(self) -> tuple[int, str] | None:
        """The code and the message of the first failure that it reports; None if it reports none."""
        for code, message in self.statuses:
            if not is_success(code):
                return code, message
        for tag, payload in self.entities:
            if tag == "error":
                return 500, payload if isinstance(payload, str) else json.dumps(payload)[:500]
        return None

    @property
    def payloads(self) -> list[Any]:
        """The payloads of the entities without a tag."""
        return [payload for tag, payload in self.entities if not tag]

    def document(self) -> dict[str, Any]:
        """Returns the first entity that is an object; an empty one where there is none."""
        return next((payload for payload in self.payloads if isinstance(payload, dict)), {})


class EnvelopeParser:
    """Parses an envelope piece by piece.

    Attributes:
        answer: what was parsed so far.

    Example:
        >>> parser = EnvelopeParser()
        >>> parser.feed(b'[{"kind":"status","payload":{"code":200,"message":"OK"}}]')
        >>> parser.close()
        >>> parser.answer.statuses
        [(200, 'OK')]
    """

    def __init__(self) -> None:
        self.answer = Answer()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._json = json.JSONDecoder()
        self._text = ""
        self._opened = self._closed = self._begun = False

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Takes the next bytes.

        Raises:
            BrokenEnvelopeError: they cannot belong to an envelope.
        """
        new = self._decoder.decode(bytes(data))
        self._text += new
        # A chunk that is not complete is not parsed again before another brace has arrived.
        if "}" in new or "]" in new or not self._begun:
            self._parse()
        if len(self._text) > _MAX_CHUNK:
            raise BrokenEnvelopeError(f"a chunk of over {_MAX_CHUNK} characters")

    def close(self) -> None:
        """Ends the answer.

        Raises:
            BrokenEnvelopeError: something is missing.
        """
        self._text += self._decoder.decode(b"", final=True)
        self._parse()
        if self._text:
            raise BrokenEnvelopeError("it ends within a chunk")
        if self._opened and not self._closed:
            raise BrokenEnvelopeError("it ends without a closing bracket")
        if not self.answer.statuses and not self.answer.entities:
            raise BrokenEnvelopeError("it has no chunk")

    def _parse(self) -> None:
        text, position = self._text, 0
        while True:
            while position < len(text) and text[position] in _BETWEEN:
                position += 1
            if position == len(text):
                break
            character = text[position]
            if self._closed:
                raise BrokenEnvelopeError("it goes on after its closing bracket")
            if character == "[" and not self._begun:
                self._opened = self._begun = True
                position += 1
            elif character == "]" and self._opened:
                self._closed = True
                position += 1
            elif character == "{":
                self._begun = True
                try:
                    chunk, position = self._json.raw_decode(text, position)
                except (ValueError, RecursionError):
                    break  # the rest is still to come, or `close` finds it missing
                self._take(chunk)
            else:
                raise BrokenEnvelopeError("it is not an array of chunks")
        self._text = text[position:]

    def _take(self, chunk: dict[str, Any]) -> None:
        kind, payload = chunk.get("kind", chunk.get("type")), chunk.get("payload")
        if not isinstance(kind, str):
            raise BrokenEnvelopeError("a chunk has no kind")
        answer = self.answer
        if kind == "status":
            details = payload if isinstance(payload, dict) else {}
            code, message = details.get("code"), details.get("message")
            if type(code) is not int:
                raise BrokenEnvelopeError("a status has no code")
            answer.statuses.append((code, message if isinstance(message, str) else ""))
        elif kind == "total":
            value = payload.get("value") if isinstance(payload, dict) else payload
            answer.total = value if type(value) is int and value >= 0 else None
        elif kind == "entity" or kind.startswith("entity:"):
            answer.entities.append((kind.partition(":")[2], payload))


def is_success(code: int) -> bool:
    """Returns whether a status is one of success."""
    return 200 <= code < 300
