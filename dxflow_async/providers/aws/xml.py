"""The XML of S3.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and its neighbours.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from urllib.parse import unquote, unquote_plus
from xml.sax.saxutils import escape

from dxflow_async.providers.aws.headers import class_of
from dxflow_async.providers.aws.plain_objects import PlainObjects, plain_objects, timestamp_of
from dxflow_async.providers.common.etags import opaque_tag, parse_etag
from dxflow_async.providers.common.key_path import all_start_with
from dxflow_async.providers.common.xml_reader import (
    MAX_DEPTH,
    MAX_DOCUMENT_SIZE,
    MAX_TEXT_SIZE,
    Document,
    MalformedXMLError,
    WholeParser,
)
from dxflow_async.providers.common.xml_reader import parse as parse_document
from dxflow_async.providers.contract import Entry, ObjectColumns

__all__ = [
    "MAX_DEPTH",
    "MAX_DOCUMENT_SIZE",
    "MAX_TEXT_SIZE",
    "Document",
    "ListParser",
    "MalformedXMLError",
    "complete_body",
    "delete_body",
    "is_text",
    "parse",
    "timestamp_of",
]


class ListParser(WholeParser):
    """Parses a page of ListObjectsV2 as it arrives.

    Names are decoded only as far as the page proves that they are encoded: a server may ignore `encoding-type=url`, or
    encode objects but not common prefixes; see `_decoder`.

    Args:
        bucket: the bucket that is listed.
        prefix: the requested prefix, without the bucket.

    Attributes:
        entries: objects and common prefixes in the order of their keys, which start with `bucket/`.
        token: requests the next page; None on the last one, and where the service has listings of version 1 only.
        truncated: there is another page.
        second: the page is one of ListObjectsV2, since it counts its keys.
        echo: the request as the server repeats it: `Prefix`, `Delimiter`, `ContinuationToken`.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(prefixes=False)
        self.token: str | None = None
        self.echo: dict[str, str] = {}
        self.entries: Sequence[Entry] = ()
        self._top = f"{bucket}/"
        self._prefix = prefix
        self._encoded = False
        self._objects = PlainObjects([], [], [], [], [])
        self._prefixes: list[str] = []
        self._values: dict[str, str] = {}
        self.truncated = False
        self.second = False
        self._marker: str | None = None
        self._plain = 0

    def close(self) -> None:
        super().close()
        if self.root != "ListBucketResult":
            raise MalformedXMLError(f"<{self.root:.100}> where <ListBucketResult> was expected")
        names, sizes, times, etags, kinds = self._objects
        if self.truncated and not (self.token or self._marker or names or self._prefixes):
            raise MalformedXMLError("a listing that goes on without saying where")
        classes = list(map(class_of, kinds)) if any(kinds) else None
        objects = ObjectColumns(self._keys(names), sizes, times, etags, classes)
        if not self._prefixes and self._plain in (0, len(names)):
            self.entries = objects
            return
        prefixes = [Entry(key, directory=True) for key in self._keys(self._prefixes)]
        self.entries = sorted((*objects, *prefixes), key=lambda entry: entry.key.encode())

    def contradiction(self, *, prefix: str, recursive: bool, token: str | None) -> str | None:
        """Returns how the page shows that it answers another request; None if nothing does.

        Servers differ in whether they encode the values that they repeat.
        """
        for name, asked in (("Prefix", prefix), ("ContinuationToken", token or "")):
            told = self.echo.get(name)
            if told is not None and asked not in (told, unquote(told), unquote_plus(told)):
                return f"it says that its {name} was {told:.200}"
        if recursive and (self._prefixes or self.echo.get("Delimiter")):
            return "it has directories where all objects were asked for"
        return None

    def next_marker(self, last: str | None) -> str | None:
        """Returns the name behind which the next page of a version 1 listing begins; None if the page has none.

        Args:
            last: the last name of the page, which most services name. It tells how the marker is encoded.
        """
        told = self._marker
        if told is None:
            return None
        ways = told, unquote(told), unquote_plus(told)
        if last in ways:
            return last
        return ways[2] if self._encoded and ways[2].startswith(self._prefix) else told

    def leaf(self, name: str, parent: str, text: str) -> None:
        if parent == "Contents":
            self._values[name] = text
        elif name == "Prefix" and parent == "CommonPrefixes":
            self._prefixes.append(text)
        elif name in ("Prefix", "Delimiter", "ContinuationToken"):
            self.echo[name] = text
        elif name == "EncodingType":
            self._encoded = text.strip().lower() == "url"
        elif name == "NextContinuationToken":
            self.token = text or None
        elif name == "KeyCount":
            self.second = True
        elif name == "NextMarker":
            self._marker = text or None
        elif name == "IsTruncated":
            self.truncated = text.strip().lower() == "true"

    def branch(self, name: str) -> None:
        if name == "Contents":
            values = self._values
            try:
                key, size = values["Key"], int(values.get("Size") or 0)
            except (KeyError, ValueError) as error:
                raise MalformedXMLError(f"an object without a name or a size ({error})") from error
            modified, etag = timestamp_of(values.get("LastModified", "")), parse_etag(values.get("ETag"))
            self._objects.add(key, size, modified, etag, values.get("StorageClass"))
            self._values = {}

    def cut(self, text: str) -> str:
        self._objects, rest = plain_objects(text)
        self._plain = len(self._objects.names)
        return rest

    def _keys(self, names: Sequence[str]) -> Sequence[str]:
        top, plain = self._top, _decoded(names, self._prefix, encoded=self._encoded)
        return [top + name for name in (names if plain is None else plain)]


def _decoded(names: Sequence[str], prefix: str, *, encoded: bool) -> Sequence[str] | None:
    """Returns the names of a page as they are; None if they are not encoded.

    Encoders differ: Amazon S3 writes a space as `+`, others as `%20` and leave a plus sign as it is. Not every server
    that says so has encoded all names. The first way that gives names with the requested prefix is taken.

    Args:
        names: the objects of a page, or its common prefixes.
        prefix: the requested prefix, with which all of them start.
        encoded: whether the page says that names are encoded.
    """
    text = "/".join(names)
    if "%" not in text and "+" not in text:
        return None
    ways: list[Callable[[Sequence[str]], Sequence[str]]] = [partial(_unquote_each, plus=True), _unquote_each]
    if "%20" in text and "%2b" not in text.lower():  # plus signs may stand for themselves
        last = any("%20" in name.rstrip("/").rpartition("/")[2] for name in names)
        ways = [_unquote_each] if last else [_unquote_each_by_segment, _unquote_each]
    plain = _NOT_ENCODED.search(text) is not None
    order = [None, *ways] if plain or not encoded else [*ways, None]
    first: Sequence[str] | None = None
    for number, way in enumerate(order):
        decoded = names if way is None else way(names)
        if all_start_with(prefix, decoded):
            return decoded
        first = decoded if not number else first
    return first


def _unquote_each(names: Sequence[str], *, plus: bool = False) -> Sequence[str]:
    """Decodes the names of a page, all at once unless one of them has a line feed or other bytes than UTF-8.

    Args:
        names: as they stand in the page.
        plus: whether a plus sign stands for a space.
    """
    text = "\n".join(names)
    if plus:
        text = text.replace("+", " ")
    try:
        decoded = _unescaped(text).split("\n")
    except UnicodeDecodeError:
        decoded = []
    if len(decoded) == len(names):
        return decoded
    return [_unquote(name.replace("+", " ") if plus else name) for name in names]


def _unquote(name: str) -> str:
    """Decodes percent signs; a name that would have other bytes than UTF-8 then is not encoded, and stays."""
    try:
        return _unescaped(name) if "%" in name else name
    except UnicodeDecodeError:
        return name


def _unescaped(text: str) -> str:
    """Decodes percent signs as quoted-printable, which has an equals sign in their place and a decoder in C.

    Raises:
        UnicodeDecodeError: there are other bytes than UTF-8 then.
    """
    # An equals sign at the end of a line joins it to the next one, so a percent sign that escapes nothing may not.
    escapes = _NO_ESCAPE.sub("%25", text).replace("=", "%3D").replace("%", "=")
    return a2b_qp(escapes.encode()).decode()


def _unquote_each_by_segment(names: Sequence[str]) -> Sequence[str]:
    return [_unquote_by_segment(name) for name in names]


def _unquote_by_segment(name: str) -> str:
    """Decodes a name in which a space is `%20` in directories and `+` in the last segment, as SeaweedFS sends it.

    The last segment of a directory is the one before the slash at its end.
    """
    directories, slash, last = name[:-1].rpartition("/")
    return _unquote(directories) + slash + _unquote((last + name[-1:]).replace("+", " "))


def parse(data: bytes) -> Document:
    """Parses a small document; names have no prefix.

    Raises:
        MalformedXMLError: it is not valid XML.
    """
    return parse_document(data, prefixes=False)


def complete_body(parts: Iterable[tuple[int, str, str | None]]) -> bytes:
    """Returns the body that completes a multipart upload: part numbers, etags, and base64 CRC32C where known."""
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber>"
        + (f"<ETag>&quot;{escape(opaque_tag(etag))}&quot;</ETag>" if etag else "")
        + (f"<ChecksumCRC32C>{checksum}</ChecksumCRC32C>" if checksum else "")
        + "</Part>"
        for number, etag, checksum in parts
    )
    return f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{rows}</CompleteMultipartUpload>'.encode()


def delete_body(keys: Iterable[str]) -> bytes:
    """Returns the body that deletes up to 1,000 objects and asks to report failures only."""
    # An XML parser turns a plain carriage return into a line feed, which is another key.
    rows = "".join([f"<Object><Key>{escape(key, _ESCAPED)}</Key></Object>" for key in keys])
    return f'<Delete xmlns="{_NAMESPACE}"><Quiet>true</Quiet>{rows}</Delete>'.encode()


def is_text(key: str) -> bool:
    """Returns whether XML can carry a key: it cannot carry control characters."""
    return _NO_TEXT.search(key) is None


_NO_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_NOT_ENCODED = re.compile(r"[^\x21-\x7e]|%(?![0-9A-Fa-f]{2})")
"""No encoder leaves white space, control characters or characters beyond ASCII as they are."""
_ESCAPED = {"\r": "&#13;"}
_NO_TEXT = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
