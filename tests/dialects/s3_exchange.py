"""A request to the S3 server, its answer, and the XML of both."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from xml.sax.saxutils import escape

__all__ = ["Answer", "Ask", "S3Error", "document", "element", "instant", "parsed", "without_etags"]

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_ESCAPED = {'"': "&quot;", "\r": "&#13;"}


@dataclass(frozen=True)
class Ask:
    """A request.

    Attributes:
        method: in capitals.
        raw_path, raw_query: as they were sent.
        bucket, key: decoded; empty where the request is about no bucket, or no object.
        query: decoded; a parameter without a value has an empty one.
        headers: names in small letters.
        body: all of it.
    """

    method: str
    raw_path: str
    raw_query: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass
class Answer:
    """A response.

    Attributes:
        chunked: send the body without its length.
        foreign: another program in front of the service answers, without the service's own headers.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    chunked: bool = False
    foreign: bool = False


class S3Error(Exception):
    """An error of S3.

    Args:
        status: of the response.
        code: such as `"NoSuchKey"`.
        message: for people.
        details: further elements of the document.
        headers: of the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str = "",
        *,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.details = {"Code": code, "Message": message or code, **(details or {})}
        self.headers = dict(headers or {})

    def xml(self) -> str:
        """Returns the document."""
        return "<Error>" + "".join(element(name, value) for name, value in self.details.items()) + "</Error>"


def element(name: str, *content: str | int | Iterable[str]) -> str:
    """Returns an element: text and numbers are escaped, lists hold elements."""
    inner = "".join([escape(str(each), _ESCAPED) if isinstance(each, str | int) else "".join(each) for each in content])
    return f"<{name}>{inner}</{name}>"


def document(root: str, elements: Iterable[str]) -> str:
    """Returns a document in the namespace of S3."""
    return f'<{root} xmlns="{_NAMESPACE}">{"".join(elements)}</{root}>'


def parsed(data: bytes) -> ET.Element:
    """Parses a request's document and drops namespaces.

    Raises:
        S3Error: it is malformed.
    """
    try:
        root = ET.fromstring(data)
    except ET.ParseError as error:
        raise S3Error(400, "MalformedXML", "The XML you provided was not well-formed") from error
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    return root


def instant(seconds: float) -> str:
    """Formats a time as S3 does in XML."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def without_etags(answer: Answer, *, everywhere: bool) -> Answer:
    """Returns an answer without its ETag, and if it is a document, without the ETags in it where `everywhere`."""
    headers = {name: value for name, value in answer.headers.items() if name != "ETag"}
    body = answer.body
    if everywhere and headers.get("Content-Type") == "application/xml":
        body = re.sub(rb"<ETag>[^<]*</ETag>", b"", body)
    return replace(answer, headers=headers, body=body)
