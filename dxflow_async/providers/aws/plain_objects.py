"""Extracts the objects of a page of a listing that are in plain notation: no escapes, no attributes, known fields.

The objects of a page nearly always have the same fields in the same order, so a regular expression is made of the first
one, without alternatives. Where it does not find every object of the page, a general one is taken, which needs twice
the time. Columns are checked as a whole, not value by value.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from dxflow_async.providers.common.xml_reader import PLAIN_TEXT, MalformedXMLError

__all__ = ["PlainObjects", "plain_objects", "timestamp_of"]


class PlainObjects(NamedTuple):
    """Objects of a page, one list for each attribute; names are as they stand in the page.

    Their storage classes are None where all of a page have the standard one.
    """

    names: list[str]
    sizes: list[int]
    times: list[float]
    etags: list[str | None]
    classes: list[str | None]

    def add(self, name: str, size: int, time: float, etag: str | None, storage_class: str | None) -> None:
        """Adds an object."""
        self.names.append(name)
        self.sizes.append(size)
        self.times.append(time)
        self.etags.append(etag)
        self.classes.append(storage_class)


def plain_objects(text: str) -> tuple[PlainObjects, str]:
    """Cuts the objects in plain notation out of a page.

    Args:
        text: the page, in which `<name>` always is an element.

    Returns:
        The objects, and the rest of the page.

    Raises:
        MalformedXMLError: an object has no name.
    """
    names, sizes, dates, etags, classes, others = _uniform_columns(text) or _columns(text)
    if "<ListBucketResult" not in others[0] or "</ListBucketResult>" not in others[-1]:
        return PlainObjects([], [], [], [], []), text
    if None in names:
        raise MalformedXMLError("an object without a name")
    lengths = [int(size or 0) for size in sizes] if None in sizes else list(map(int, sizes))
    seconds = {date: timestamp_of(date or "") for date in set(dates)}
    if "" in etags:
        etags = [etag or None for etag in etags]
    return PlainObjects(names, lengths, [seconds[date] for date in dates], etags, classes), "".join(others)


class _Columns(NamedTuple):
    """The fields of objects as texts; None where an object has none. And the texts around the objects."""

    names: list[str]
    sizes: list[str]
    dates: list[str]
    etags: list[str | None]
    classes: list[str | None]
    others: list[str]


def _columns(text: str) -> _Columns:
    parts = _OBJECT.split(text)
    return _Columns(parts[1::7], parts[2::7], parts[3::7], parts[4::7], parts[5::7], parts[::7])


def _uniform_columns(text: str) -> _Columns | None:
    """Returns the columns of a page whose objects all have the fields of the first one; None if they have not."""
    start = text.find(_BEGIN)
    end = text.find(_END, start)
    if start < 0 or end < 0:
        return None
    fields = tuple(_FIELD.findall(text, start + len(_BEGIN), end))
    if not _KEY.issubset(fields) or len({name for name, _ in fields}) < len(fields):
        return None
    held = [name for name, _ in fields if name in _HELD]
    if text.count(_STANDARD) == text.count(_CLASS):
        held = [name for name in held if name != "StorageClass"]
    parts = _pattern_of(fields, tuple(held)).split(text)
    step = len(held) + 1
    others = parts[::step]
    if any(_BEGIN in other for other in others):
        return None
    none: list[Any] = [None] * (len(others) - 1)
    columns = {name: parts[number::step] for number, name in enumerate(held, 1)}
    names, etags = columns["Key"], columns.get("ETag", none)
    together = "".join(names) + ("" if etags is none else "".join(etags))
    # White space and what cannot be seen is rare in names, and some of it is not allowed: the others look closely.
    if not together.isprintable() or "&" in together or '"' in together:
        return None
    classes = columns.get("StorageClass", none)
    return _Columns(names, columns.get("Size", none), columns.get("LastModified", none), etags, classes, others)


@lru_cache(maxsize=64)
def _pattern_of(fields: tuple[tuple[str, str], ...], held: tuple[str, ...]) -> re.Pattern[str]:
    """Returns a regular expression for objects that have just these fields.

    Args:
        fields: their names, and the quotes before their values.
        held: the names of those whose values are wanted.
    """
    inner = "".join(
        f"<{name}>{quote}{_HELD[name]}{quote}</{name}>" if name in held else f"<{name}>{_WORD}</{name}>"
        for name, quote in fields
    )
    return re.compile(_BEGIN + inner + _END)


def timestamp_of(text: str) -> float:
    """Returns an ISO 8601 time as seconds since the epoch; 0 if it is not one."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


_BEGIN, _END = "<Contents>", "</Contents>"
_HELD = {
    "Key": "([^<]{1,4096})",
    "Size": "([0-9]{1,19})",
    "LastModified": "([0-9A-Za-z:.+-]{0,64})",
    "ETag": "([^<]{0,256})",
    "StorageClass": "([0-9A-Za-z_]{0,64})",
}
_KEY = {("Key", "")}
_WORD = "[0-9A-Za-z_]{0,64}"
_OTHERS = "ChecksumAlgorithm|ChecksumType"
_CLASS, _STANDARD = "<StorageClass>", "<StorageClass>STANDARD</StorageClass>"
_QUOTE = '&#34;|&quot;|"'
_FIELD = re.compile(rf"<({'|'.join(_HELD)}|{_OTHERS})>((?<=<ETag>)(?:{_QUOTE}))?")
_OBJECT = re.compile(
    f"{_BEGIN}(?:"
    rf"<Key>({PLAIN_TEXT}{{1,4096}})</Key>|"
    r"<Size>([0-9]{1,19})</Size>|"
    rf"<LastModified>({PLAIN_TEXT}{{0,64}})</LastModified>|"
    rf"<ETag>(?:{_QUOTE})?([^<&\"\x00-\x1f\ufffe\uffff]{{0,256}})(?:{_QUOTE})?</ETag>|"
    rf"<StorageClass>({PLAIN_TEXT}{{0,64}})</StorageClass>|"
    rf"<({_OTHERS})>{PLAIN_TEXT}{{0,64}}</\6>"
    f")*{_END}"
)
