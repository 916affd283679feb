"""What listings, `stat` and reads report about objects, and what is stored with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, dataclass, field, fields, replace
from itertools import repeat
from typing import Any, Self, overload

from dxflow_async.digests import ExpectedDigest
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.presumed_digests import PresumedDigest
from dxflow_async.providers.common.etags import parse_etag
from dxflow_async.providers.encryption import Encryption

__all__ = [
    "DEFAULT_CLASS",
    "SYSTEM_OPTIONS",
    "Entry",
    "ObjectColumns",
    "ObjectOptions",
    "Page",
    "condition_etag",
    "keys_of",
    "page_size",
]

DEFAULT_CLASS = "default"
"""The `storage_class` that has a copy stored in the destination's default class, and not in that of its source."""

SYSTEM_OPTIONS = ("cache_control", "content_disposition", "content_encoding", "content_language")
"""The options that are HTTP headers of an object. Copies carry them along, also from cloud to cloud."""


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
        presumed: a digest that the object probably has, where nothing certain is reported.
        system: the values of `SYSTEM_OPTIONS` that are stored with it, where `stat` or `read` reports them.
        version: identifies the version among those that the bucket keeps, where the provider reports it.
        link: the target of a symbolic link that a listing does not follow; see `LocalDisk.mark_links`.
        latest: False for an older version, and for one that a deletion hides, in a listing of versions.
        tag_count: how many tags are stored with it, where the provider reports that and copies do not take them over.
        storage_class: the storage class or the access tier, where copies can take it over and somebody chose it: it is
            neither the service's standard class nor the account's default tier.
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
    system: Mapping[str, str] | None = None
    version: str | None = None
    latest: bool = True
    link: str | None = None
    tag_count: int = 0
    presumed: PresumedDigest | None = None
    storage_class: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers of an executor get many entries, most of which have only the first fields.
        values = [getattr(self, name) for name in self.__slots__]
        while len(values) > 1 and values[-1] == _ENTRY_DEFAULTS[len(values) - 1]:
            values.pop()
        return Entry, tuple(values)


_ENTRY_DEFAULTS: tuple[Any, ...] = tuple({} if each.default is MISSING else each.default for each in fields(Entry))


class ObjectColumns(Sequence[Entry]):
    """The objects of a page, as one list for each attribute. An entry is made whenever one is looked at.

    A page of 1,000 objects so takes half the memory of its entries, gives the garbage collector nothing to walk
    through, and costs a third of the time. A change to an entry is a change to that one only.

    Attributes:
        keys: of the objects; one that has no bytes and ends in a slash is a directory.
        sizes: in bytes.
        times: when the objects were stored, in seconds since the epoch.
        etags: as `Entry.etag`.
        classes: as `Entry.storage_class`; None: no object has one.

    Example:
        >>> [entry.size for entry in ObjectColumns(["a", "b"], [1, 2], [0.0, 0.0], [None, None])]
        [1, 2]
    """

    __slots__ = ("classes", "etags", "keys", "sizes", "times")

    def __init__(
        self,
        keys: Sequence[str],
        sizes: Sequence[int],
        times: Sequence[float],
        etags: Sequence[str | None],
        classes: Sequence[str | None] | None = None,
    ) -> None:
        self.keys, self.sizes, self.times, self.etags, self.classes = keys, sizes, times, etags, classes

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Entry]:
        directories: Iterable[bool] = repeat(False)
        if 0 in self.sizes:
            directories = [not size and key.endswith("/") for key, size in zip(self.keys, self.sizes, strict=True)]
        entries = map(Entry, self.keys, self.sizes, self.times, directories, self.etags)
        return entries if self.classes is None else map(_with_class, entries, self.classes)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> ObjectColumns: ...
    def __getitem__(self, index: int | slice) -> Entry | ObjectColumns:
        if isinstance(index, slice):
            classes = None if self.classes is None else self.classes[index]
            return ObjectColumns(self.keys[index], self.sizes[index], self.times[index], self.etags[index], classes)
        key, size = self.keys[index], self.sizes[index]
        entry = Entry(key, size, self.times[index], not size and key.endswith("/"), self.etags[index])
        return entry if self.classes is None else _with_class(entry, self.classes[index])

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{list(self)}"


def _with_class(entry: Entry, storage_class: str | None) -> Entry:
    entry.storage_class = storage_class
    return entry


def keys_of(entries: Sequence[Entry]) -> Sequence[str]:
    """Returns the keys of some entries.

    Args:
        entries: of a page. Those that are `ObjectColumns` are not made.

    Example:
        >>> keys_of([Entry("a"), Entry("b")])
        ['a', 'b']
    """
    return entries.keys if isinstance(entries, ObjectColumns) else [entry.key for entry in entries]


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


def page_size(*, recursive: bool, first: bool) -> int:
    """Returns how many entries to ask for: few on the first page of a tree, so that work on it begins early.

    Args:
        recursive, first: whether the listing is of a whole tree, and whether it is its first page.

    Returns:
        The number of entries.

    Example:
        >>> page_size(recursive=True, first=True), page_size(recursive=True, first=False)
        (200, 1000)
    """
    return 200 if recursive and first else 1000


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What is stored with an object, and on which condition.

    `Features.options` names the options after `metadata` that a provider keeps. A call with another one is an
    `UnsupportedError` before anything is sent. The library itself sets `public`, `modified`, `mode`, `copied_from`,
    `source_class` and the two conditions; users of a session leave them out.

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
        source_class: the storage class of the source at a service with the same classes; see `with_defaults`.
        storage_class: the storage class, or the access tier, as the service names it: `"STANDARD_IA"`, `"Cool"`. With
            `"default"`, a copy does not take over that of its source.
        cache_control, content_disposition, content_encoding, content_language: sent with the object as HTTP headers of
            these names.
        tags: names and values, by which the service's rules find objects.
        encryption: how the service encrypts the object.
        if_absent: store the object only if there is none of that name; otherwise `AlreadyExistsError`.
        if_match: replace only the object that has this etag; otherwise `PreconditionFailedError`. Quotes around the
            etag, as in HTTP headers, are not kept.

    Raises:
        ConfigurationError: `if_match` is empty.

    Example:
        >>> ObjectOptions(storage_class="STANDARD_IA", cache_control="no-cache").named()
        ['storage_class', 'cache_control']
    """

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    public: bool = False
    modified: float | None = None
    mode: int | None = None
    copied_from: Entry | None = None
    _: KW_ONLY
    source_class: str | None = None
    storage_class: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    tags: Mapping[str, str] | None = None
    encryption: Encryption | None = None
    if_absent: bool = False
    if_match: str | None = None

    def __post_init__(self) -> None:
        if self.if_match is not None:
            object.__setattr__(self, "if_match", condition_etag(self.if_match))

    @property
    def conditional(self) -> bool:
        """Whether the object is stored on a condition only."""
        return self.if_absent or self.if_match is not None

    def stored_encryption(self) -> Encryption | None:
        """Returns the encryption, unless it is by a customer's key, which belongs to the provider.

        Raises:
            ConfigurationError: it is by a customer's key, so the object would be stored without it.
        """
        if self.encryption is not None and self.encryption.kind == "customer":
            raise ConfigurationError("a customer's key is given to Provider.with_customer_key, not with each object")
        return self.encryption

    def named(self) -> list[str]:
        """Returns the names of the options that `Features.options` must have."""
        system = self.cache_control, self.content_disposition, self.content_encoding, self.content_language
        if (self.storage_class, *system, self.tags, self.encryption) == _NONE_NAMED:
            return []  # as nearly all options do
        return [name for name in _CHECKED if getattr(self, name) is not None]

    def with_defaults(self, defaults: ObjectOptions | None, source: Entry | None = None) -> ObjectOptions:
        """Returns these options, with those of `defaults` where they say nothing, as they are stored.

        Where neither names a storage class, it is that of the source.

        Args:
            defaults: the options to fall back to, which the settings say about all new objects.
            source: the object that the provider copies; by default `copied_from`, or what `source_class` says.

        Example:
            >>> cold = ObjectOptions(storage_class="COLDLINE")
            >>> ObjectOptions(source_class="NEARLINE").with_defaults(cold).storage_class
            'COLDLINE'
        """
        source = source or self.copied_from
        theirs = self.source_class if source is None else source.storage_class
        if defaults is None and theirs is None and self.storage_class != DEFAULT_CLASS:
            return self
        given = {name: getattr(defaults, name) for name in _CHECKED if defaults and getattr(self, name) is None}
        given["storage_class"] = self.storage_class or given.get("storage_class") or theirs
        if given["storage_class"] == DEFAULT_CLASS:
            given["storage_class"] = None
        return replace(self, **given, source_class=None)

    def to_json(self) -> dict[str, Any]:
        """Returns the options that are set in plain JSON types, without a customer's key, for a job's file."""
        kept = {name: getattr(self, name) for name in ("content_type", *_CHECKED) if getattr(self, name) is not None}
        kept["metadata"] = dict(self.metadata)
        if self.tags is not None:
            kept["tags"] = dict(self.tags)
        if self.encryption is not None:
            kept["encryption"] = [self.encryption.kind, self.encryption.name]
        return kept

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Returns the options that `to_json` returned; a customer's key is missing in them.

        Args:
            kept: the mapping that `to_json` returned.

        Raises:
            TypeError, ValueError: they are something else.
        """
        values = dict(kept)
        unknown = values.keys() - {each.name for each in fields(cls)}
        if unknown:
            raise ValueError(f"unknown options: {sorted(unknown)}")
        if values.get("encryption") is not None:
            values["encryption"] = Encryption(*values["encryption"])
        return cls(**values)


_CHECKED = ("storage_class", *SYSTEM_OPTIONS, "tags", "encryption")
_NONE_NAMED = (None,) * len(_CHECKED)


def condition_etag(etag: str) -> str:
    """Returns the etag of a caller's condition as entries keep it: without quotes.

    Raises:
        ConfigurationError: it is empty, and would be no condition.

    Example:
        >>> condition_etag('"abc"'), condition_etag("abc")
        ('abc', 'abc')
    """
    parsed = parse_etag(etag)
    if parsed is None:
        raise ConfigurationError(f"if_match = {etag!r:.100} is not an etag; give that of stat or of a listing")
    return parsed
