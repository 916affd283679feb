"""Objects that were got through the protocols of obspec, and how conditions and attributes are written there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dxflow_async.blocking.files import Calls
from dxflow_async.exceptions import ConfigurationError, PreconditionFailedError, StorageError
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.storage.files.reader import AsyncFileReader

if TYPE_CHECKING:
    from obspec import Attributes, GetOptions, ObjectMeta, PutMode

__all__ = [
    "GotObject",
    "GotObjectAsync",
    "NotModifiedError",
    "PreconditionError",
    "check_conditions",
    "object_options",
    "range_of",
    "rules_of_mode",
]

_CHUNK = 1 << 20

_SYSTEM = {
    "Cache-Control": "cache_control",
    "Content-Disposition": "content_disposition",
    "Content-Encoding": "content_encoding",
    "Content-Language": "content_language",
    "Content-Type": "content_type",
}
"""The attributes that are not metadata, and the options of ours. Source: the `Attribute` of obspec."""

_NAMES = {name.lower(): option for name, option in _SYSTEM.items()}


class NotModifiedError(StorageError):
    """The object is the one that the caller has. obspec knows this error by its name."""


class PreconditionError(PreconditionFailedError):
    """The object is another one than the caller asked for. obspec knows this error by its name."""


class GotObjectAsync:
    """An object, or a range of it, whose bytes are read when they are asked for.

    Args:
        file: the open object.
        meta: describes the whole object.
        entry: describes it, too, with its attributes.
        span: the range `(start, end)`.
    """

    def __init__(self, file: AsyncFileReader, meta: ObjectMeta, entry: Entry, span: tuple[int, int]) -> None:
        self._file = file
        self._entry = entry
        self.meta = meta
        self.range = span

    @property
    def attributes(self) -> Attributes:
        """The media type, the other HTTP headers that are stored with the object, and its metadata."""
        system = {**(self._entry.system or {}), "content_type": self._entry.content_type}
        found = {name: system[option] for name, option in _SYSTEM.items() if system.get(option)}
        return {**self._entry.metadata, **found}  # type: ignore[dict-item]  # only texts are left

    async def buffer_async(self) -> bytes:
        """Returns all bytes."""
        start, end = self.range
        await self._file.seek(start)
        return await self._file.read(end - start)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        start, end = self.range
        while start < end:
            await self._file.seek(start)
            chunk = await self._file.read(min(_CHUNK, end - start))
            start += len(chunk)
            yield chunk


class GotObject:
    """The blocking twin of `GotObjectAsync`."""

    def __init__(self, twin: GotObjectAsync, calls: Calls) -> None:
        self._twin = twin
        self._calls = calls
        self.meta = twin.meta
        self.range = twin.range
        self.attributes = twin.attributes

    def buffer(self) -> bytes:
        """Returns all bytes."""
        return self._calls.call(self._twin.buffer_async)

    def __iter__(self) -> Iterator[bytes]:
        chunks = aiter(self._twin)

        async def following() -> bytes:
            return await anext(chunks, b"")

        while chunk := self._calls.call(following):
            yield chunk


def range_of(options: GetOptions, size: int) -> tuple[int, int]:
    """Returns the range that is asked for, within the object.

    Raises:
        ConfigurationError: it is empty, or begins after the object's end.
    """
    asked: Any = options.get("range")
    start, end = 0, size
    if isinstance(asked, Mapping):
        start = asked["offset"] if "offset" in asked else max(size - asked["suffix"], 0)
    elif isinstance(asked, Sequence):
        start, end = asked[0], min(asked[1], size)
    elif asked is not None:
        raise ConfigurationError(f"range = {asked!r} is not allowed; give (start, end), an offset or a suffix")
    if asked is not None and not 0 <= start < end:
        raise ConfigurationError(f"range = {asked!r} is not allowed: it has no byte of an object of {size} bytes")
    return start, end


def check_conditions(options: GetOptions, entry: Entry, path: str) -> None:
    """Compares an object with the conditions of a caller.

    Raises:
        PreconditionError: it is another object than the caller asked for.
        NotModifiedError: it is the object that the caller has.
    """
    modified = datetime.fromtimestamp(entry.modified, tz=UTC)
    wanted, known = options.get("if_match"), options.get("if_none_match")
    since, until = options.get("if_modified_since"), options.get("if_unmodified_since")
    if (wanted is not None and not _is_one_of(wanted, entry)) or (until is not None and modified > until):
        text = f"get of {path} refused: the object is another one than was asked for; look at it again"
        raise PreconditionError(text, operation="get", path=path)
    if (known is not None and _is_one_of(known, entry)) or (since is not None and modified <= since):
        raise NotModifiedError(f"get of {path}: the object is the known one", operation="get", path=path)


def rules_of_mode(mode: PutMode | None) -> dict[str, Any]:
    """Returns the arguments of `write` for a mode of obspec.

    Raises:
        ConfigurationError: the mode names neither a condition that there is, nor an etag.
    """
    if mode is None or mode == "overwrite":
        return {}
    if mode == "create":
        return {"overwrite": False}
    etag = mode.get("e_tag") if isinstance(mode, Mapping) else None
    if etag is None:
        raise ConfigurationError(f"mode = {mode!r} is not allowed; it must be create, overwrite, or have an e_tag")
    return {"if_match": etag}


def object_options(
    attributes: Attributes | None, tags: Mapping[str, str] | None, others: ObjectOptions
) -> ObjectOptions:
    """Returns the options for the attributes and tags of an object.

    Args:
        attributes: headers by their names, in any letter case, and metadata.
        tags: the tags.
        others: what the attributes and tags do not say.
    """
    given: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for name, value in (attributes or {}).items():
        if (option := _NAMES.get(name.lower())) is not None:
            given[option] = value
        else:
            metadata[name] = value
    if metadata:
        given["metadata"] = metadata
    if tags:
        given["tags"] = tags
    return replace(others, **given)


def _is_one_of(condition: str, entry: Entry) -> bool:
    tags = [each.strip() for each in condition.split(",")]
    return "*" in tags or any(entry.etag is not None and same_etag(entry.etag, each.strip('"')) for each in tags)
