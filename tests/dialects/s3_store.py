"""What the S3 server keeps in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Bucket", "Part", "StoredObject", "Upload"]


@dataclass(frozen=True)
class StoredObject:
    """An object.

    Attributes:
        etag: without quotes.
        headers: its content type and other system metadata, by header.
        metadata: of the user, by name without a prefix.
        checksums: base64, by algorithm in small letters.
        checksum_type: `"FULL_OBJECT"` or `"COMPOSITE"`.
        modified: seconds since the epoch.
        public: everybody may read it.
        tags: as a query, `"a=1&b=2"`.
    """

    data: bytes = field(repr=False)
    etag: str
    headers: dict[str, str]
    metadata: dict[str, str]
    checksums: dict[str, str]
    checksum_type: str
    modified: float
    public: bool = False
    tags: str = ""


@dataclass(frozen=True)
class Part:
    """A part of an upload."""

    data: bytes = field(repr=False)
    etag: str
    checksums: dict[str, str]
    modified: float


@dataclass
class Upload:
    """An upload that is neither completed nor aborted.

    Attributes:
        template: an object without bytes: its headers and metadata are those of the whole.
        algorithm: of its checksums, in small letters; None: not agreed on.
        checksum_type: as in `StoredObject`.
    """

    key: str
    template: StoredObject
    algorithm: str | None
    checksum_type: str
    began: float
    parts: dict[int, Part] = field(default_factory=dict)


@dataclass
class Bucket:
    """A bucket: its objects by key, and its uploads by id."""

    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
