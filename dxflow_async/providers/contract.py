"""The contract of a provider: any place that holds bytes under names.

A cloud account, a compute unit and a local directory are all providers, so a transfer makes no difference between them:
it reads from one and writes to another. `local/` is the worked example; `docs/providers.md` shows how to write one.

Names are *keys*: `bucket/path/name` at a cloud, `path/name` in a directory. A key never begins with a slash; one that
ends in a slash is a directory. Each failure is one of our `StorageError`s, translated in the provider's own table.
A provider never retries: the transfer engine does, where `StorageError.retryable` says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.common.capability import remembered_capability
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.encryption import Encryption
from dxflow_async.providers.entries import SYSTEM_OPTIONS, Entry, ObjectColumns, ObjectOptions, Page, keys_of, page_size
from dxflow_async.providers.features import Features
from dxflow_async.providers.local_disk import LocalDisk
from dxflow_async.providers.reader import RangeIgnoredError, Reader
from dxflow_async.providers.temporary_files import TemporaryFiles
from dxflow_async.providers.uploads import CopyRefusedError, Part, PartLimitError, PartReceipt, Staged, Upload
from dxflow_async.streams import Body, Buffer, Buffered, Run, StreamedBody, Write, is_streamed

__all__ = [
    "SYSTEM_OPTIONS",
    "Body",
    "Buffer",
    "Buffered",
    "CopyRefusedError",
    "Encryption",
    "Entry",
    "Features",
    "LocalDisk",
    "ObjectColumns",
    "ObjectOptions",
    "Page",
    "Part",
    "PartLimitError",
    "PartReceipt",
    "Provider",
    "RangeIgnoredError",
    "Reader",
    "Run",
    "Staged",
    "StreamedBody",
    "TemporaryFiles",
    "Upload",
    "Write",
    "is_streamed",
    "keys_of",
    "page_size",
]


class Provider(ABC):
    """A place that holds bytes under keys.

    The abstract methods are the core that every provider has; `features` says what else it can do.

    Attributes:
        name: as errors show it, in capitals: `"AWS"`, `"LOCAL"`, or the remote's name.
        features: its capabilities and limits. They hold from the time `connect` has returned, until the provider learns
            otherwise from an answer and replaces them.
        range_support: whether its server was seen to serve ranges; that of `origin` counts.
    """

    name: str
    features: Features
    range_support = remembered_capability()

    @property
    def real_directories(self) -> bool:
        """Whether directories are known to be real: an empty one stays."""
        return self.features.directories

    @property
    def local_disk(self) -> LocalDisk | None:
        """The files behind the keys, if the provider keeps its objects on this machine's disks; else None."""
        return None

    @property
    def temporary_files(self) -> TemporaryFiles | None:
        """What killed processes leave, if the provider writes objects as files under temporary names; else None."""
        return None

    def reading_back(self) -> Provider:
        """Returns this provider so that it reads what it has stored again, where that costs next to nothing.

        `Features.verifies_writes` of the returned provider is set where it does. It needs no `aclose`.
        """
        return self

    # The core

    async def connect(self) -> None:  # noqa: B027 - most services need not be asked
        """Asks the service what it can do. Called once, before any other method; it may be retried.

        Raises:
            StorageError: the service did not answer.
            ConfigurationError: the settings cannot be used.
        """

    @abstractmethod
    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        """Returns one page of the entries whose keys start with `prefix`, in the order of their keys' bytes.

        Args:
            prefix: `""` for all keys; `"bucket/dir/"` for the content of a directory. It need not end at a slash.
            recursive: list all objects; otherwise only up to the next slash after `prefix`, directories included.
            cursor: `Page.cursor` of the page before.

        Raises:
            NotFoundError: the bucket or the directory does not exist. A provider without real directories may return an
                empty page for a directory.
        """

    @abstractmethod
    async def stat(self, key: str) -> Entry:
        """Returns what is stored under a key.

        Where `Features.directories` is set, a directory is found with and without the slash; its entry has the slash.
        A key with a slash at its end never finds an object.

        Args:
            key: of an object, or of a directory.

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
        """Opens the bytes `[start, end)` of an object; up to its end when `end` is None.

        Args:
            key: the object's.
            start: the first byte.
            end: the byte after the last one, above `start`. It may lie beyond the object's end.
            etag: read only this version.
            listed: what a listing or `stat` reported earlier; it may save another look.

        Raises:
            NotFoundError: there is no such object; a directory is none.
            PreconditionFailedError: the object has another etag, or no byte in the range.
            RangeIgnoredError: the whole object came instead of the range; `features.ranges` is False by now.
        """

    @abstractmethod
    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        """Stores an object in one go. Readers see the old object or the new one, never a mixture.

        Directories above the object are made where they are missing.

        Args:
            key: the object's.
            body: its bytes, with the size and perhaps the CRC32C that they have.
            options: metadata, conditions and encryption of the object.

        Returns:
            What is stored. `crc32c` is the provider's own where `Features.checksum` is set, else that of the bytes that
            were taken from the body.

        Raises:
            ChecksumMismatchError: the body does not have the CRC32C that it announces, or the provider stored other
                bytes; the old object stays.
            AlreadyExistsError: a real directory has that name; it stays, even an empty one. Or `options.if_absent` is
                set, and there is an object; it stays.
            PreconditionFailedError: the object has not the etag `options.if_match`; it stays.
            StorageError: the body has another size than it announces, or the object was not stored.
        """

    @abstractmethod
    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        """Starts an upload in parts.

        Args:
            key: the object's.
            size: the object's, in bytes; None if it is not known yet.
            options: metadata, conditions and encryption of the object.
        """

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> dict[str, StorageError]:
        """Deletes up to 1,000 objects. A key that does not exist is no error.

        A key that ends in a slash is a directory. It is deleted with its content where `Features.directories` is set,
        else only the empty object that marks it. A key without a slash never deletes a directory.

        Args:
            keys: of objects, and of directories with a slash at the end; at most 1,000.

        Returns:
            The errors of the keys that could not be deleted: empty if all were. One key never stops the others.

        Raises:
            StorageError: the request as a whole failed, and nothing is known about any of the keys.
        """

    # Beyond the core

    async def list_directory(self, key: str) -> Sequence[Entry]:
        """Returns all entries of a directory, in whatever order is the quickest to get.

        Args:
            key: the directory's, with its slash.

        Raises:
            NotFoundError: there is no such directory.
        """
        page = await self.list_page(key, recursive=False)
        entries = list(page.entries)
        while page.cursor is not None:
            page = await self.list_page(key, recursive=False, cursor=page.cursor)
            entries += page.entries
        return entries

    async def list_after(self, prefix: str, after: str) -> Page:
        """Returns a page of all objects below a prefix from some key on, where `Features.list_after` is set.

        Args:
            prefix: as for `list_page`, with a bucket.
            after: keys up to this one are left out. It starts with `prefix`, and is the key of an object or ends in a
                slash; there need not be such a directory.

        Returns:
            The page; `list_page` continues it.

        Raises:
            UnsupportedError: the service lists from another key; `features.list_after` is False by now.
        """
        raise TypeError(f"{self.name} does not list from a key: Features.list_after is not set ({prefix}, {after})")

    def listing_order(self, key: str) -> Any:
        """Returns a value that orders keys as listings do, where `Features.list_directories` is set.

        A directory has its slash. What is in it follows the keys before it, and precedes the keys after it.

        Args:
            key: of an object, or of a directory with its slash.
        """
        return key

    async def stage(self, key: str, body: Body, options: ObjectOptions) -> Staged:
        """Writes an object as `write` does, without its name, where `Features.stages` is set.

        Args:
            key: the object's.
            body: as for `write`.
            options: as for `write`.
        """
        raise TypeError(f"{self.name} does not stage: Features.stages is not set ({key}, {body.size}, {options})")

    async def resume_upload(
        self, key: str, upload_id: str, receipts: Sequence[PartReceipt], options: ObjectOptions
    ) -> tuple[Upload, Sequence[PartReceipt]]:
        """Continues an upload that another process started, where `Features.resumable` is set.

        Args:
            key: as it was started.
            upload_id: its `Upload.id`. Whoever has it can write to the upload, so it is never shown.
            receipts: of the parts that are known to be stored.
            options: as it was started.

        Returns:
            The upload, and the receipts of those parts that are stored as they were written.

        Raises:
            NotFoundError: it was finished, or is gone.
        """
        raise TypeError(f"{self.name} does not resume: Features.resumable is not set ({key}, {len(receipts)} parts)")

    async def unfinished_uploads(self, key: str) -> Sequence[tuple[Upload, float]]:
        """Returns the unfinished uploads of a key, where `Features.unfinished_uploads` is set.

        Args:
            key: the object's.

        Returns:
            Each upload, whoever started it, and when, in seconds since the epoch by the provider's clock.
        """
        raise TypeError(f"{self.name} does not tell: Features.unfinished_uploads is not set ({key})")

    async def delete_one(self, key: str) -> None:
        """Deletes one key as `delete` does.

        Args:
            key: as for `delete`.

        Raises:
            StorageError: it could not be deleted.
        """
        failed = await self.delete([key])
        if failed:
            raise failed[key]

    async def same_version(self, etag: str, seen: Entry) -> bool:
        """Returns whether an etag, which a listing may have told, is that of an object that was just looked up.

        They are compared; a provider whose service lists other etags than it tells of single objects asks it.

        Args:
            etag: the one in question.
            seen: the object, as it was looked up.
        """
        return same_etag(seen.etag, etag)

    async def delete_matching(self, key: str, etag: str) -> None:
        """Deletes an object if it still has this etag, where `Features.conditions` is set.

        Args:
            key: the object's.
            etag: that it has to have.

        Raises:
            PreconditionFailedError: it has another one, or does not exist; nothing was deleted.
        """
        raise TypeError(f"{self.name} obeys no conditions: Features.conditions is not set ({key}, {etag})")

    def with_customer_key(self, encryption: Encryption) -> Provider:
        """Returns this provider for objects that are encrypted with a customer's key.

        Everything that it reads, looks up or writes is encrypted with that key. It shares connections and everything
        learned of the service, and needs no `aclose`. A copy decrypts its source with the key of `origin`.
        `Features.encryptions` has `"customer"` where this works.

        Args:
            encryption: has the customer's key.
        """
        raise TypeError(f"{self.name} takes no customer keys: Features.encryptions ({encryption})")

    @property
    def origin(self) -> Provider:
        """The provider itself; of one that `with_customer_key` or `at_version` returned, the one it was made of."""
        return self

    def at_version(self, version: str) -> Provider:
        """Returns this provider with another view of each object: `stat` and `read` are about one version.

        `delete` removes that version for good. `Features.object_versions` says where this works.

        Args:
            version: `Entry.version` of an entry of `list_versions`.
        """
        raise TypeError(f"{self.name} keeps no versions: Features.object_versions is not set ({version})")

    async def list_versions(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        """Returns one page of all versions of the objects below a prefix, where `Features.object_versions` is set.

        As `list_page`. Each entry has a `version`; those of one key follow each other, the newest first. Markers of
        deletions are left out.

        Args:
            prefix: as for `list_page`.
            recursive: as for `list_page`.
            cursor: `Page.cursor` of the page before.
        """
        raise TypeError(f"{self.name} keeps no versions: Features.object_versions is not set ({prefix}, {recursive})")

    async def tell_checksum(self, entry: Entry) -> int | None:
        """Has the service compute the CRC32C of an object, where `Features.checksum_told` is set. May take minutes.

        Args:
            entry: the object, with its etag.

        Raises:
            PreconditionFailedError: the object has another etag by now.
        """
        raise TypeError(f"{self.name} tells no checksums: Features.checksum_told is not set ({entry.key})")

    async def complete_digest(self, entry: Entry) -> Entry:
        """Returns an object with everything that its presumed digest needs, such as the sizes of its parts.

        Called for objects with `Entry.presumed` before their bytes are compared.

        Args:
            entry: the object, with its presumed digest.

        Raises:
            StorageError: the service did not answer.
        """
        return entry

    async def stored_tags(self, source: Entry) -> Mapping[str, str]:
        """Returns the tags of an object, where `Features.options` has tags and copies through this machine keep them.

        It is empty where there are none, and where the credentials may not read them.

        Args:
            source: the object, as `read` or `stat` reported it.
        """
        return {}

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        """Copies an object within the provider, with its metadata, where `Features.copy` is set.

        `options.modified` is kept with the copy where `Features.mtime` is set and the source has no time of its own.

        Args:
            source: the object to copy, with its etag.
            key: the copy's.
            options: metadata, conditions and encryption of the copy.

        Returns:
            What is stored. With a `local_disk`, `crc32c` is that of the copy, compared with the bytes that were read.

        Raises:
            PreconditionFailedError: the source has another etag than `source.etag` by now.
            AlreadyExistsError: a real directory has the name of the copy; it stays.
            CopyRefusedError: the service refuses to copy, though the source can be read.
        """
        raise TypeError(f"{self.name} does not copy: Features.copy is not set ({source.key} to {key}, {options})")

    async def rename(self, source: str, key: str) -> None:
        """Renames an object or a directory atomically, where `Features.rename` is set; the target is replaced.

        Args:
            source: the present key.
            key: the new key. A directory has its slash in both.
        """
        raise TypeError(f"{self.name} does not rename: Features.rename is not set ({source} to {key})")

    async def mode_of_directory(self, key: str) -> int | None:
        """Returns the permission bits of a directory; those that a recent listing reported will do.

        Args:
            key: the directory's.

        Raises:
            NotFoundError: there is no such directory.
        """
        return (await self.stat(key)).mode

    async def absolute_path(self, key: str) -> tuple[str, str] | None:
        """Returns an identity of the server and the absolute path of a key there, symbolic links resolved.

        Remotes with different addresses or directories may lead to one file; equal results tell that before the file
        is moved onto itself. The identity does not depend on the address. None: the provider cannot tell.

        Args:
            key: of an object or a directory; there need not be one.
        """
        return None

    async def make_directory(self, key: str, mode: int | None = None) -> None:
        """Makes a directory, parents included, where `Features.directories` is set. One that exists is no error.

        `mode` holds where `Features.modes` is set; the directory's owner may always write to it.

        Args:
            key: the directory's.
            mode: the permission bits of a new directory; None: the provider's own.

        Raises:
            AlreadyExistsError: an object has that name.
        """
        raise TypeError(f"{self.name} has no directories: Features.directories is not set ({key}, {mode})")

    async def remove_directory(self, key: str) -> None:
        """Removes an empty directory, where `real_directories` is true.

        Args:
            key: the directory's.

        Raises:
            AlreadyExistsError: the directory is not empty.
        """
        raise TypeError(f"{self.name} has no directories: Features.directories is not set ({key})")

    async def presign(self, key: str, expires: float, *, method: str = "GET") -> str:
        """Returns a URL that works without credentials for `expires` seconds, where `Features.presign` is set.

        Args:
            key: the object's.
            expires: seconds for which the URL works.
            method: the HTTP method that the URL is for.
        """
        raise TypeError(f"{self.name} does not presign: Features.presign is not set ({method} {key}, {expires})")

    def endpoint_facts(self) -> Sequence[tuple[str, str]]:
        """Returns what was learned of the service, as pairs of a fact and its value with the reason.

        `dxflow-async remotes test` shows them. No request is made for them.
        """
        return ()

    async def aclose(self) -> None:  # noqa: B027 - most hold nothing
        """Releases what the provider holds. The session's resources are not the provider's to close."""
