"""Items as a unit describes them: one item, or a list that is parsed as it arrives.

An item is `{"name", "directory": bool, "size": bytes, "modification": seconds}`. Servers of this library add `"etag"`,
`"checksum"` (`crc32c:<base64>`), `"mode"` (octal text), `"unreadable"`, `"error"` and, if a name is not UTF-8, `"raw"`:
its bytes, percent-encoded. Nothing a server sends is trusted: invalid names and other forms are refused.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import math
from typing import Any
from urllib.parse import unquote_to_bytes

from dxflow_async import checksum
from dxflow_async.exceptions import StorageError
from dxflow_async.modes import parse_mode
from dxflow_async.providers.common.confirm import not_the_service
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import HTTP, Call, HTTPReader, Response

__all__ = ["Items", "entry_of", "is_named"]

_MAX_ITEM_SIZE = 64 << 10
"""The most characters of one item; the longest path has a twelfth of it."""

_SPACE = " \t\r\n"


class Items:
    """The items of a JSON list as they arrive; one buffer of it is in memory. Read it to the end, or close it.

    Args:
        call: the request.
        http: the data plane.
        response: contains the list.
    """

    def __init__(self, call: Call, http: HTTP, response: Response) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._response: Response | None = response
        self._reading = HTTPReader(Entry(""), -1, http, call, response)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = _Text()

    async def read(self) -> list[dict[str, Any]]:
        """Returns the next items; none at the end.

        Raises:
            ServiceError: it is not a list of items.
            NetworkError, StallTimeoutError: the response broke off.
        """
        try:
            while chunk := await self._reading.read():
                if found := self._text.feed(self._decoder.decode(bytes(chunk))):
                    return found
            self._response = None
            return self._text.feed(self._decoder.decode(b"", final=True), final=True)
        except (ValueError, RecursionError) as error:
            raise not_the_service(self._call, f"no JSON list of items: {error}") from error

    def close(self) -> None:
        """Releases the connection; a second call does nothing."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def __del__(self) -> None:
        # A listing may be dropped half-way by another thread than the loop's.
        if self._response is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._response.close)


class _Text:
    """The part of the list that has arrived and is not parsed yet."""

    def __init__(self) -> None:
        self._text = ""
        self._state = "start"
        self._scan = json.JSONDecoder().raw_decode

    def feed(self, text: str, *, final: bool = False) -> list[dict[str, Any]]:
        """Returns the items that are complete now.

        Raises:
            ValueError: the text cannot become a list of items.
        """
        text, position, found = self._text + text, 0, []
        while True:
            position = _skipped(text, position)
            if position == len(text):
                break
            if self._state in ("start", "ended") or text[position] in ",]":
                self._mark(text[position])
                position += 1
                continue
            if self._state not in ("first", "next"):
                raise ValueError("two items with no comma between")
            try:
                item, position = self._scan(text, position)
            except ValueError:
                if final or len(text) - position > _MAX_ITEM_SIZE:
                    raise
                break
            if not isinstance(item, dict):
                raise ValueError(f"{item!r:.50} is no item")  # noqa: TRY004 - of what was sent
            found.append(item)
            self._state = "item"
        self._text = text[position:]
        if final and self._state != "ended":
            raise ValueError("it has no end")
        return found

    def _mark(self, mark: str) -> None:
        following = {("start", "["): "first", ("item", ","): "next", ("first", "]"): "ended", ("item", "]"): "ended"}
        if (self._state, mark) not in following:
            raise ValueError(f"{mark!r} is out of place")
        self._state = following[self._state, mark]


def _skipped(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position


def entry_of(
    call: Call,
    item: Any,
    directory: str,
    *,
    times: bool,
    modes: bool = False,
    deep: bool = False,
    key: str | None = None,
) -> Entry:
    """Returns an item as an entry.

    Args:
        call: the request.
        item: as it arrived.
        directory: the key of the listed directory, with its slash.
        times: whether the modification is the time that was stored with a file.
        modes: whether `"mode"` is the permission bits; impossible values are ignored.
        deep: whether names may contain slashes.
        key: the requested key, if it was a single item.

    Raises:
        ServiceError: the item has another form, or its name is invalid.
    """
    try:
        name = directory + _name_of(item, deep=deep) if key is None else key
        is_directory, size = _typed(item, "directory", bool), _typed(item, "size", int)
        modified = float(item["modification"])
        etag, unreadable, failed = (_optional(item, name) for name in ("etag", "unreadable", "error"))
        crc = _optional(item, "checksum")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _refused(call, f"has an item of another form ({error})") from error
    if size < 0 or not math.isfinite(modified):
        raise _refused(call, "has an item with an invalid size or time")
    mode = parse_mode(item.get("mode")) if modes else None
    if is_directory:
        name = name.removesuffix("/") + "/"
        return Entry(name, size, modified, directory=True, unreadable=unreadable, read_error=failed, mode=mode)
    return Entry(
        name,
        size,
        modified,
        etag=etag,
        crc32c=checksum.decode(crc.removeprefix("crc32c:")) if crc else None,
        unreadable=unreadable,
        mtime=modified if times and unreadable is None else None,
        read_error=failed,
        mode=mode,
    )


def is_named(item: dict[str, Any], name: str) -> bool:
    """Returns whether a requested item has that name, or no name."""
    try:
        return "name" not in item or _name_of(item, deep=False) == name
    except (TypeError, ValueError):
        return False


def _name_of(item: dict[str, Any], *, deep: bool) -> str:
    raw = _optional(item, "raw")
    name = _typed(item, "name", str) if raw is None else unquote_to_bytes(raw).decode("utf-8", "surrogateescape")
    segments = name.split("/")
    if "\0" in name or (len(segments) > 1 and not deep) or not {"", ".", ".."}.isdisjoint(segments):
        raise ValueError(f"{name!r:.100} is no name")
    name.encode("utf-8", "surrogateescape")
    return name


def _typed(item: dict[str, Any], key: str, kind: type) -> Any:
    value = item[key]
    if type(value) is not kind:
        raise TypeError(f"{key} is {value!r:.50}")
    return value


def _optional(item: dict[str, Any], key: str) -> Any:
    return None if item.get(key) is None else _typed(item, key, str)


def _refused(call: Call, text: str) -> StorageError:
    return not_the_service(call, f"it {text}")
