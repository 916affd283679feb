"""The contract of a provider: any place that holds bytes under names.

A cloud account, a compute unit and a local directory are all providers, so a transfer knows no difference:
it reads from one and writes to another. `local.py` is the worked example; every provider file has its sections
in that order. Third parties register theirs under the entry point group `dxflow_async.providers`.

Names are *keys*: `bucket/path/name` for a cloud, `path/name` for a directory, never with a leading slash; a key
that ends in a slash is a directory. What goes wrong is one of our `StorageError`s, translated in the provider's
own table. Nothing here retries: that is the transfer engine's work, which asks `StorageError.retryable`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from dxflow_async import checksum
from dxflow_async.digests import ExpectedDigest
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.parts import Part, PartReceipt
from dxflow_async.providers.staged import Staged
from dxflow_async.streams import Body, Buffer, Buffered, Run, StreamedBody, Write, is_streamed

__all__ = [
    "Body",
    "Buffer",
    "Buffered",
    "Entry",
    "Features",
    "ObjectOptions",
    "Page",
    "Part",
    "PartReceipt",
    "Provider",
    "Reader",
    "Run",
    "Staged",
    "StreamedBody",
    "Upload",
    "Write",
    "is_streamed",
    "page_size",
]

_STEP = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a provider can do beyond the core, and its limits (sizes in bytes). Ask before, not after.

    Attributes:
        checksum: the provider stores a CRC32C with an object and reports it.
        checksum_first: a body's CRC32C is to be known before the body is sent.
        streams_parts: not so that of a part of an upload: what arrived of it is compared afterwards, so that a source
            that can be read again is read once.
        costly_parts: each part costs requests and storage of its own: where parts are streamed they are larger, and
            only a larger object has them.
        rereads: reading again costs next to nothing: what `Reader.buffer_or_reopen` gives takes little memory.
        directories: directories are real: `make_directory` works, and an object cannot hold the name of one.
        directories_vary: of some accounts directories are real, which is known once one was seen: see
            `Provider.real_directories`. Listings have them; `write` of an empty object whose key ends in a slash makes
            one, and `remove_directory` works.
        copy: `copy` works, server-side, for objects of up to `max_copy_size`; `Upload.copy_part` above that.
        rename: `rename` works, atomically.
        stages: `stage` works: a written object waits for its name, and nothing of the network is held meanwhile.
        modes: it keeps `ObjectOptions.mode`, and listings, `stat` and `read` tell it as `Entry.mode`.
        directory_mode: the permission bits of a directory that is made without any being asked for, where these are
            known: such a one need not be made before what is in it.
        ranges: a range is read without what is before it.
        resumable: `resume_upload` works.
        unfinished_uploads: `unfinished_uploads` works, and uploads that nobody finishes stay until they are removed.
        presign: `presign` works.
        public: `ObjectOptions.public` may be asked for.
        min_part_size, max_part_size, max_parts: of an upload in parts; the last part may be smaller.
        max_size: of an object.
        mtime: it keeps `ObjectOptions.modified`, and `stat` and `read` tell it as `Entry.mtime`.
        mtime_listed: listings tell it too.
        ordered: listings keep the order of keys' bytes for sure, also where a name and a directory start alike.
        buckets: the first segment of a key is a bucket, which only its owner makes and removes.
        versions: every answer about an object names its version.
        checksum_told: `tell_checksum` works, for objects whose answers have no checksum.
        endpoint: the budget of requests in flight this provider draws on; None: no network.
    """

    checksum: bool = False
    checksum_first: bool = False
    streams_parts: bool = False
    parts_are_objects: bool = False
    cheap_reread: bool = False
    directories: bool = False
    directories_vary: bool = False
    copy: bool = False
    rename: bool = False
    stages: bool = False
    modes: bool = False
    directory_mode: int | None = None
    ranges: bool = True
    resumable: bool = False
    unfinished_uploads: bool = False
    presign: bool = False
    public: bool = False
    min_part_size: int = 1
    max_part_size: int = 5 << 30
    max_parts: int = 10_000
    max_size: int = 5 << 40
    max_copy_size: int = 5 << 30
    mtime: bool = False
    mtime_listed: bool = False
    ordered: bool = False
    buckets: bool = False
    versions: bool = False
    checksum_told: bool = False
    endpoint: str | None = None


@dataclass(slots=True)
class Entry:
    """What a provider knows of one object or directory.

    Attributes:
        key: its name; a directory's ends in a slash.
        size: bytes.
        modified: seconds since the epoch.
        etag: names this version: it changes when the bytes do.
        crc32c: of the whole, where the provider reports it.
        mtime: seconds since the epoch, when the object's source was changed, as it was kept with it; None: not told.
        unreadable: why it is no object to be read (a socket, a link into a loop), else None.
        read_error: the code of the error (`"EACCES"`, `"403"`) where it is unreadable because looking at it failed;
            `"ENOENT"` for a link to nothing.
        mode: the permission bits of a file or a directory, where there are such.
        digest: a checksum of the whole of another kind, where the provider reports one and no CRC32C.
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
    """A piece of a listing.

    Attributes:
        entries: in the order of their keys' bytes; of real directories, a recursive listing has those only that nothing
            is in.
        cursor: asks for the next piece; None ends it.
        directories: where `Features.directories_vary` is set, the other real directories: each in the piece that ends
            its content, after those in it, so that who deletes in that order finds each of them empty.
    """

    entries: Sequence[Entry]
    cursor: Any | None
    directories: Sequence[Entry] = ()


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What is stored with an object.

    Attributes:
        modified: the source's time, where the provider can keep one.
        mode: the source's permission bits, for a new object where the provider has such; a replaced one keeps its own.
    """

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    public: bool = False
    modified: float | None = None
    mode: int | None = None


class Reader(ABC):
    """An open read: iterate over it, or call `read` until it returns nothing; then `aclose`.

    Attributes:
        entry: the object's size, version and checksum, all of them of the one version that is read.
        size: how many bytes this reading yields.
        crc32c: what these bytes should have, where the provider reports it.
        verified: they were compared with another checksum that the provider reports, and are right; known at the end.
    """

    entry: Entry
    size: int
    crc32c: int | None = None
    verified: bool = False
    _rest: Buffer = b""

    @abstractmethod
    async def read(self) -> Buffer:
        """The next buffer, of whatever size is at hand; empty at the end.

        Raises:
            NetworkError, StallTimeoutError: the rest did not come; read again from where it broke.
            SourceChangedError: a local file was changed meanwhile.
        """

    async def readinto(self, buffer: memoryview) -> int:
        """The next bytes, written into a buffer: how many; 0 at the end. May be fewer than fit. Raises as `read`."""
        chunk = self._rest or await self.read()
        size = min(len(chunk), len(buffer))
        buffer[:size] = chunk[:size]
        self._rest = memoryview(chunk)[size:]
        return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        """Moves the next bytes through a buffer to `write`: how many; 0 at the end. Raises as `read`.

        Args:
            buffer: there is no byte in it before, nor after.
            write: what it raises comes through.
            run: has it called.
        """
        size = await self.readinto(buffer)
        if size:
            await run(write, buffer[:size])
        return size

    @abstractmethod
    async def aclose(self) -> None:
        """Gives the connection or the file back, also in mid-read."""

    async def buffer_or_reopen(self) -> Body:
        """All of it as a body that can be sent again, with its checksum: in memory, where reading again would cost."""
        buffer = memoryview(bytearray(self.size))
        size = crc = 0
        while filled := await self.readinto(buffer[size : size + _STEP]):
            crc = checksum.crc32c(buffer[size : size + filled], crc)
            size += filled
        return Buffered((buffer[:size],), size, crc)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        chunk = await self.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk


class Upload(ABC):
    """An object being written in parts: `write_part` for each, in any order, then `finish` or `abort`.

    Nothing is visible under the key before `finish` has returned; `id` names the upload to the provider.
    """

    id: str

    @abstractmethod
    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        """Writes one part; the same part may be written again.

        Raises:
            StorageError: the part was not stored.
        """

    @abstractmethod
    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        """Puts the parts together under the key and returns what is stored there.

        Args:
            receipts: of all parts, ordered by number.
            crc32c: of the whole, for the provider to compare, where it is known.

        Raises:
            ChecksumMismatchError: the provider put together something else; the key is untouched.
        """

    @abstractmethod
    async def abort(self) -> None:
        """Removes what was written so far. Never raises for an upload that is gone already."""

    async def digest(self, algorithm: str) -> bytes | None:
        """The digest of all bytes as they are stored so far; None where reading them again would cost.

        Args:
            algorithm: one of those of `ExpectedDigest`.
        """
        return None

    async def copy_part(self, part: Part, source: Entry) -> PartReceipt:
        """Fills one part from another object of this provider, where `Features.copy` is set."""
        raise TypeError(f"{type(self).__name__} does not copy: Features.copy is not set ({part}, {source.key})")


def page_size(*, recursive: bool, first: bool) -> int:
    """Entries to ask for in a page: of a tree few at first, so that work on it begins while the rest is listed."""
    return 200 if recursive and first else 1000


class Provider(ABC):
    """A place that holds bytes under keys.

    Attributes:
        name: `"AWS"`, `"LOCAL"`, ...: as users write it.
        features: what it can do.
    """

    name: str
    features: Features

    @property
    def real_directories(self) -> bool:
        """Whether directories are known to be real: one of them stays when nothing is in it any more."""
        return self.features.directories

    @abstractmethod
    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        """One page of the entries whose keys start with `prefix`, in the order of their keys' bytes.

        Args:
            prefix: `""` for all; `"bucket/dir/"` for a directory's content.
            recursive: all objects; else what follows `prefix` up to the next slash, directories included.
            cursor: what the page before said.

        Raises:
            NotFoundError: the bucket or the directory does not exist.
        """

    @abstractmethod
    async def stat(self, key: str) -> Entry:
        """What is stored under a key.

        Raises:
            NotFoundError: nothing is.
        """

    @abstractmethod
    async def read(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        etag: str | None = None,
        listed: Entry | None = None,
    ) -> Reader:
        """Opens the bytes `[start, end)` of an object; to its end when `end` is None.

        Args:
            key: its name.
            start, end: in bytes, `start < end`; what is behind the object's end is left out.
            etag: only this version of it.
            listed: what a listing, or a look at the object, said of it before; it may save looking again.

        Raises:
            NotFoundError: no such object.
            PreconditionFailedError: it is not the version of that `etag` any more, or a range has no byte of it.
        """

    @abstractmethod
    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        """Stores an object in one go; a reader sees the old one or the new one.

        The entry's `crc32c` is the provider's own where `Features.checksum` is set, else that of the bytes taken.

        Raises:
            ChecksumMismatchError: other bytes arrived than were sent.
        """

    async def stage(self, key: str, body: Body, options: ObjectOptions) -> Staged:
        """As `write`, but the object gets its name only when it is committed, where `Features.stages` is set."""
        raise TypeError(f"{self.name} does not stage: Features.stages is not set ({key}, {body.size}, {options})")

    @abstractmethod
    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        """Begins an object in parts; `size` in bytes where it is known."""

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        """Goes on with an upload that another process began, where `Features.resumable` is set.

        Args:
            key: as it was begun.
            upload_id: its `Upload.id`, which is as good as a key to it: it is never shown.
            receipts: of the parts it is known to have.
            options: as it was begun.

        Returns:
            The upload, and the receipts of those parts that are there as they were written.

        Raises:
            NotFoundError: it was finished, or is gone.
        """
        raise TypeError(f"{self.name} does not resume: Features.resumable is not set ({key}, {len(receipts)} parts)")

    async def unfinished_uploads(self, key: str) -> Sequence[tuple[Upload, float]]:
        """The uploads of a key that are neither finished nor removed, where `Features.unfinished_uploads` is set.

        Returns:
            Each upload, whoever began it, and when that was, in seconds since the epoch by the provider's clock.
        """
        raise TypeError(f"{self.name} does not tell: Features.unfinished_uploads is not set ({key})")

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        """Deletes up to 1,000 objects; one that is not there is no error.

        A key that ends in a slash is a directory, which goes with its content where `Features.directories` is set,
        else the empty object that marks one.

        Returns:
            The errors of the keys that could not be deleted: empty when all were. One key never stops the others.

        Raises:
            StorageError: nothing is known of any of them: the request as a whole failed.
        """

    async def delete_one(self, key: str) -> None:
        """As `delete`, of one key.

        Raises:
            StorageError: it could not be deleted.
        """
        failed = await self.delete([key])
        if failed:
            raise failed[key]

    async def tell_checksum(self, entry: Entry) -> int | None:
        """Has the CRC32C of an object computed, where `Features.checksum_told` is set; it may take minutes.

        Raises:
            PreconditionFailedError: it is not that version any more.
        """
        raise TypeError(f"{self.name} tells no checksums: Features.checksum_told is not set ({entry.key})")

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        """Copies an object server-side, metadata included, where `Features.copy` is set.

        `options.modified` is kept with the copy where `Features.mtime` is set and the source has no time kept with it.
        """
        raise TypeError(f"{self.name} does not copy: Features.copy is not set ({source.key} to {key}, {options})")

    async def rename(self, source: str, key: str) -> None:
        """Moves an object or a directory at once, where `Features.rename` is set; the target is replaced."""
        raise TypeError(f"{self.name} does not rename: Features.rename is not set ({source} to {key})")

    async def mode_of_directory(self, key: str) -> int | None:
        """The permission bits of a directory, or what a listing that passed it lately told of them.

        Raises:
            NotFoundError: there is no such directory.
        """
        return (await self.stat(key)).mode

    async def make_directory(self, key: str, mode: int | None = None) -> None:
        """Makes a directory, parents included, where `Features.directories` is set.

        `mode` has the permission bits of a new one, where `Features.modes` is set; its owner may always write to it.
        """
        raise TypeError(f"{self.name} has no directories: Features.directories is not set ({key}, {mode})")

    async def remove_directory(self, key: str) -> None:
        """Removes a directory that has nothing in it, where `real_directories` is set.

        Raises:
            AlreadyExistsError: something is in it.
        """
        raise TypeError(f"{self.name} has no directories: Features.directories is not set ({key})")

    async def presign(self, key: str, expires: float, *, method: str = "GET") -> str:
        """A URL that works without credentials for `expires` seconds, where `Features.presign` is set."""
        raise TypeError(f"{self.name} does not presign: Features.presign is not set ({method} {key}, {expires})")

    async def aclose(self) -> None:  # noqa: B027 - most hold nothing
        """Gives back what the provider holds; the data plane belongs to the session."""
