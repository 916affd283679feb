"""XML from a storage service, read with limits: no document type, no entities, bounded depth and size."""

from __future__ import annotations

import re
from typing import NoReturn
from xml.parsers import expat

__all__ = [
    "MAX_DEPTH",
    "MAX_DOCUMENT_SIZE",
    "MAX_TEXT_SIZE",
    "PLAIN_TEXT",
    "Document",
    "MalformedXMLError",
    "Parser",
    "WholeParser",
    "parse",
]

MAX_DOCUMENT_SIZE = 32 << 20
MAX_TEXT_SIZE = 64 << 10
MAX_DEPTH = 16


class MalformedXMLError(ValueError):
    """The document is not valid XML, or exceeds a limit."""


PLAIN_TEXT = r"[^<&\x00-\x1f\ufffe\uffff]"
"""A regular expression for a character that needs no escape in XML."""

_PLAIN_START = re.compile(
    rb"""<(?:\?xml version=["']1\.0["'] encoding=["'](?i:utf-8)["'](?: standalone=["']yes["'])?\?>|[A-Za-z])"""
)


_BEFORE = rb"(?:\xef\xbb\xbf)?(?:\s|<!--(?:(?!-->).)*-->)*(?:\xef\xbb\xbf)?"
_PREAMBLE = re.compile(_BEFORE + rb"(?=<\?xml\s)", re.DOTALL)
_BEGINS = re.compile(_BEFORE + rb"<(?:\?xml\s|[A-Za-z_])", re.DOTALL)


def without_preamble(data: bytes) -> bytes:
    """Returns a document from its XML declaration on, if only white space, comments or a mark stand before that."""
    found = None if data.startswith(b"<?xml") else _PREAMBLE.match(data)
    return data if found is None else data[found.end() :]


def plain_text(data: bytes) -> str | None:
    """Decodes a document that has no comments, CDATA or declarations, so that `<name>` always is an element.

    Returns:
        The text; None if the document has any of these.

    Raises:
        MalformedXMLError: the document is not UTF-8.
    """
    document = data.removeprefix(b"\xef\xbb\xbf")
    if b"<!" in document or _PLAIN_START.match(document) is None or document.find(b"<?", 2) >= 0:
        return None
    try:
        return document.decode()
    except UnicodeDecodeError as error:
        raise MalformedXMLError(str(error)) from error


class Parser:
    """Calls `leaf` for each element that holds text, `branch` for each that holds elements, as they end.

    Subclasses override `leaf`, `branch` and `attributes`. `feed` takes the document in pieces of any size; `close` ends
    it. Both raise `MalformedXMLError`.

    A byte order mark, white space and comments before the XML declaration are skipped: some servers and proxies send
    them, although XML does not allow it.

    Args:
        namespaces: names are `{namespace}name`, whatever prefixes the document uses; otherwise they are as written,
            with their prefix. Attributes that have no prefix have no namespace.
        prefixes: names keep the prefix that the document uses. Without effect where `namespaces` is set.

    Attributes:
        root: the name of the outermost element; empty before it began.
        every_start: `attributes` is called for elements without attributes, too. A subclass sets it.

    Example:
        >>> class Names(Parser):
        ...     def leaf(self, name, parent, text):
        ...         print(name, text)
        >>> names = Names(namespaces=True)
        >>> names.feed(b'<D:prop xmlns:D="DAV:"><D:getetag>5</D:getetag></D:prop>')
        {DAV:}getetag 5
        >>> names.close()
    """

    every_start = False

    def __init__(self, *, namespaces: bool = False, prefixes: bool = True) -> None:
        self._expat = expat.ParserCreate(namespace_separator="}" if namespaces else None)
        self._expat.buffer_text = True
        self._expat.StartDoctypeDeclHandler = self._refuse
        self._expat.EntityDeclHandler = self._refuse
        starts, ends = (self._start, self._end) if prefixes else (self._start_local, self._end_local)
        self._expat.StartElementHandler = self._start_expanded if namespaces else starts
        self._expat.EndElementHandler = self._end_expanded if namespaces else ends
        self._expat.CharacterDataHandler = self._data
        self.root = ""
        self._names: list[str] = []
        self._text = ""
        self._is_leaf = False
        self._size = 0
        self._before: bytes | None = b""  # what arrived before the document is known to begin

    def feed(self, data: bytes | memoryview | bytearray) -> None:
        """Parses the next piece.

        Args:
            data: of any size.

        Raises:
            MalformedXMLError: the document is not valid XML, or exceeds a limit.
        """
        self._grow(len(data))
        if self._before is None:
            self._parse(bytes(data), last=False)
            return
        self._before += bytes(data)
        if _BEGINS.match(self._before) is not None or len(self._before) > MAX_TEXT_SIZE:
            start, self._before = self._before, None
            self._parse(without_preamble(start), last=False)

    def close(self) -> None:
        """Ends the document.

        Raises:
            MalformedXMLError: it is not complete.
        """
        start, self._before = self._before, None
        self._parse(without_preamble(start or b""), last=True)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_DOCUMENT_SIZE:
            raise MalformedXMLError(f"an answer of over {MAX_DOCUMENT_SIZE} bytes")

    def _parse(self, data: bytes, *, last: bool) -> None:
        try:
            self._expat.Parse(data, last)
        except MalformedXMLError:
            raise
        except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two for an unknown encoding
            raise MalformedXMLError(str(error)) from error

    def leaf(self, name: str, parent: str, text: str) -> None:
        """Called at the end of an element that contains no elements.

        Args:
            name: the element's.
            parent: the name of the element around it; empty for the outermost one.
            text: what it holds.
        """

    def branch(self, name: str) -> None:
        """Called at the end of an element that contains elements.

        Args:
            name: the element's.
        """

    def attributes(self, name: str, values: dict[str, str]) -> None:
        """Called at the start of an element that has attributes; see `every_start`.

        Args:
            name: the element's.
            values: the attributes by name.
        """

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        names = self._names
        if len(names) >= MAX_DEPTH:
            raise MalformedXMLError(f"elements nested over {MAX_DEPTH} deep")
        if not names:
            self.root = name
        names.append(name)
        self._text = ""
        self._is_leaf = True
        if attributes or self.every_start:
            self.attributes(name, attributes)

    def _start_local(self, name: str, attributes: dict[str, str]) -> None:
        self._start(name.rpartition(":")[2], attributes)

    def _end_local(self, name: str) -> None:
        self._end(name.rpartition(":")[2])

    def _start_expanded(self, name: str, attributes: dict[str, str]) -> None:
        self._start(_expanded(name), {_expanded(each): value for each, value in attributes.items()})

    def _end_expanded(self, name: str) -> None:
        self._end(_expanded(name))

    def _data(self, text: str) -> None:
        self._text += text
        if len(self._text) > MAX_TEXT_SIZE:
            raise MalformedXMLError(f"a text of over {MAX_TEXT_SIZE} characters")

    def _end(self, name: str) -> None:
        names = self._names
        names.pop()
        if self._is_leaf:
            self.leaf(name, names[-1] if names else "", self._text)
            self._is_leaf = False
        else:
            self.branch(name)

    def _refuse(self, *_: object) -> NoReturn:
        raise MalformedXMLError("a document type or an entity, which no storage service sends")


def _expanded(name: str) -> str:
    return f"{{{name}" if "}" in name else name


class WholeParser(Parser):
    """Reads a document once it is complete: `cut` extracts the elements in plain notation, the rest is parsed.

    A regular expression finds an element with all its fields at a fifth of the cost of the parser's callbacks.
    """

    def __init__(self, *, prefixes: bool = True) -> None:
        super().__init__(prefixes=prefixes)
        self._before = None
        self._pieces: list[bytes] = []

    def feed(self, data: bytes | memoryview | bytearray) -> None:
        self._grow(len(data))
        self._pieces.append(bytes(data))

    def close(self) -> None:
        data = without_preamble(b"".join(self._pieces))
        text = plain_text(data)
        self._parse(data if text is None else self.cut(text).encode(), last=False)
        super().close()

    def cut(self, text: str) -> str:
        """Returns the rest of the text, which is parsed."""
        return text


class Document(Parser):
    """Texts of a small document: `values["Code"]` is the first `<Code>`, `rows["Error"]` those in each `<Error>`.

    Args:
        prefixes: names keep the prefix that the document uses.

    Attributes:
        values: the first text of each name.
        rows: of each name of an element that contains elements, the texts in each of them.
    """

    def __init__(self, *, prefixes: bool = True) -> None:
        super().__init__(prefixes=prefixes)
        self.values: dict[str, str] = {}
        self.rows: dict[str, list[dict[str, str]]] = {}
        self._row: dict[str, str] = {}

    def leaf(self, name: str, parent: str, text: str) -> None:
        self.values.setdefault(name, text)
        self._row[name] = text

    def branch(self, name: str) -> None:
        self.rows.setdefault(name, []).append(self._row)
        self._row = {}


def parse(data: bytes, *, prefixes: bool = True) -> Document:
    """Parses a small document.

    Args:
        data: the document.
        prefixes: names keep the prefix that the document uses.

    Returns:
        The texts of the document.

    Raises:
        MalformedXMLError: it is not valid XML, or exceeds a limit.

    Example:
        >>> parse(b"<Error><Code>Busy</Code></Error>").values["Code"]
        'Busy'
    """
    document = Document(prefixes=prefixes)
    document.feed(data)
    document.close()
    return document
