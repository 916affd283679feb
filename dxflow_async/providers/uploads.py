"""Objects on their way to a provider: uploads in parts, and objects that were written but have no name yet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dxflow_async.digests import RunningDigest
from dxflow_async.exceptions import UnsupportedError
from dxflow_async.presumed_digests import PartsDigest
from dxflow_async.providers.entries import Entry
from dxflow_async.streams import Body

__all__ = ["CopyRefusedError", "Part", "PartLimitError", "PartReceipt", "Staged", "Upload"]


class PartLimitError(UnsupportedError):
    """The service refused the number of a part, or the number or the sizes of all parts of an upload.

    The provider replaces its `features` by those that it learned, and then raises this error from `Upload.write_part`,
    `Upload.copy_part` or `Upload.finish`. The engine aborts the upload and starts the object anew, with parts
    within the new limits, up to four times: an answer may show another limit.
    """


class CopyRefusedError(UnsupportedError):
    """The service refuses to copy an object that can be read, so the object is copied through this machine.

    A provider raises it from `copy` or `Upload.copy_part`, and remembers what the refusal applies to.
    """


class Part(NamedTuple):
    """The bytes `[offset, offset + size)` of an object.

    Attributes:
        number: the part's place among those of the object, from 1 on.
        offset: of its first byte.
        size: in bytes.
    """

    number: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """What the upload of a part returned.

    Attributes:
        part: the part.
        etag: identifies the part to the provider, where it needs that to finish the upload.
        crc32c: of the bytes that were handed over.
        verified: whether the provider compared it with what it stored.
    """

    part: Part
    etag: str | None = None
    crc32c: int | None = None
    verified: bool = False


class Upload(ABC):
    """An object that is written in parts: `write_part` for each of them, in any order, then `finish` or `abort`.

    Nothing is visible under the key before `finish` has returned.

    Attributes:
        id: identifies the upload to the provider, also from another process; see `Provider.resume_upload`.
        max_parts: the most parts of this upload; None: `Features.max_parts`.
    """

    id: str
    max_parts: int | None = None

    @abstractmethod
    async def write_part(self, part: Part, body: Body) -> PartReceipt:
        """Writes one part. A part that was written before is replaced.

        Args:
            part: its number, its offset and its size in bytes.
            body: its bytes, with the CRC32C that they have, if it is known.

        Returns:
            What `finish` needs of it.

        Raises:
            ChecksumMismatchError: the body does not have the CRC32C that it announces.
            PartLimitError: the service allows fewer parts; `features` has the limit by now.
            StorageError: the part was not stored.
        """

    @abstractmethod
    async def finish(self, receipts: Sequence[PartReceipt], crc32c: int | None) -> Entry:
        """Makes the parts one object under the key and returns what is stored there.

        Args:
            receipts: of all parts, ordered by number.
            crc32c: of the whole object, for the provider to compare, where it is known.

        Raises:
            ChecksumMismatchError: the whole has another CRC32C; what is stored under the key is untouched.
            PartLimitError: the service refuses the number or the sizes of the parts; `features` says why by now.
        """

    @abstractmethod
    async def abort(self) -> None:
        """Removes what was written so far. Never raises for an upload that is gone already."""

    async def digest(self, algorithm: str) -> bytes | None:
        """Returns the digest of all bytes that are stored so far; None where reading them again would cost.

        Args:
            algorithm: as in `ExpectedDigest`.
        """
        return None

    async def add_to_digest(self, digest: RunningDigest | PartsDigest, offset: int, size: int) -> bool:
        """Adds stored bytes to a digest; returns False where reading them again would cost.

        Args:
            digest: has the bytes before.
            offset, size: the bytes, which are stored.
        """
        return False

    async def copy_part(self, part: Part, source: Entry) -> PartReceipt:
        """Fills one part from another object of this provider, where `Features.copy` is set.

        Args:
            part: its number, its offset in both objects, and its size in bytes.
            source: the object to copy from, with its etag.

        Returns:
            What `finish` needs of it.

        Raises:
            CopyRefusedError: the service refuses to copy, though the source can be read.
            PreconditionFailedError: the source has another etag by now.
        """
        raise TypeError(f"{type(self).__name__} does not copy: Features.copy is not set ({part}, {source.key})")


class Staged(ABC):
    """An object that was written and has no name yet: `commit` it, or `discard` it.

    Attributes:
        entry: what `Provider.write` returns once the object is committed.
        waits: whether `commit` waits for a disk.
    """

    entry: Entry
    waits: bool = True

    @abstractmethod
    async def commit(self) -> None:
        """Gives the object its name. After that, a loss of power does not take it.

        Raises:
            StorageError: it could not be brought to disk, or could not get its name.
        """

    @abstractmethod
    async def discard(self) -> None:
        """Removes the object; one that was committed stays."""
