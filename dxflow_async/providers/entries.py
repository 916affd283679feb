"""What listings, `stat` and reads report about objects, and what is stored with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dxflow_async.digests import ExpectedDigest

__all__ = ["Entry", "ObjectOptions", "Page"]


@dataclass(slots=True)
class Entry:
    """What a provider reports about one object or directory.

    Attributes:
        key: its key; that of a directory ends in a slash.
        size: bytes.
        modified: when it was stored, in seconds since the epoch.
        directory: whether it is a directory.
        etag: identifies this version: it changes when the bytes do.
        crc32c: of the whole object, where the provider reports it.
        content_type: the media type, where the provider keeps one.
        metadata: the user's own, without what the provider keeps there for itself.
        unreadable: why the object cannot be read (a socket, a link in a loop); None if it can.
        mtime: when the object's source was last modified, as kept with the object, in seconds since the epoch; None if
            it is not reported.
        read_error: for an unreadable object, the code of the error (`"EACCES"`, `"403"`) if looking at it failed, or
            `"ENOENT"` for a link to nothing.
        mode: the permission bits of a file or a directory, where there are any.
        digest: a checksum of the whole object of another kind, where the provider reports one and no CRC32C.
    """

    key: str
    size: int = 0
    modified: float = 0.0
    directory: bool = False
    etag: str | None = None
    crc32c: int | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    unreadable: str | None = None
    mtime: float | None = None
    read_error: str | None = None
    mode: int | None = None
    digest: ExpectedDigest | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing.

    Attributes:
        entries: in the order of their keys' bytes. Of real directories, a recursive listing has only empty ones.
        cursor: passed to `list_page` for the next page; None after the last page.
        directories: where `Features.directories_vary` is set, the other real directories. Each is on the page that ends
            its content, after the directories inside it, so deleting them in order finds each of them empty.
    """

    entries: Sequence[Entry]
    cursor: Any | None
    directories: Sequence[Entry] = ()


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What is stored with an object.

    Attributes:
        content_type: the media type, where the provider keeps one.
        metadata: the user's own, where the provider keeps it.
        public: anyone may read the object; only where `Features.public` is set.
        modified: when the source was last modified, in seconds since the epoch; kept where `Features.mtime` is set.
        mode: the source's permission bits, for a new object where `Features.modes` is set. An object that is replaced
            keeps its own.
        copied_from: the object of the same provider that the parts of an upload are copied from. What the provider
            stores with it beyond `content_type` and `metadata`, such as `Cache-Control`, goes along; what is stored
            with it takes precedence over these two.
    """

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    public: bool = False
    modified: float | None = None
    mode: int | None = None
    copied_from: Entry | None = None
