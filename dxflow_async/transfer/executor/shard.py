"""What goes to a worker and what comes back: pure values that can be pickled, without sockets, loops or secrets.

The names of settings and the areas travel; credentials do not. A worker finds the areas again with a session of its
own, and refuses a shard whose areas it finds elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple, Self

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import DxflowError, StorageError
from dxflow_async.providers.contract import Entry, ObjectOptions, Part, PartReceipt, Provider
from dxflow_async.providers.registry import local_provider
from dxflow_async.transfer.journal.records import AreaId
from dxflow_async.transfer.overwrite import Overwrite

__all__ = [
    "Budget",
    "Failure",
    "ItemReceipt",
    "ItemRecord",
    "KeyRange",
    "ListedKeys",
    "ListedRange",
    "ListingRange",
    "MovedPart",
    "PackedKeys",
    "PackedKeysToDelete",
    "PartRange",
    "Shard",
    "ShardPlace",
    "ShardReceipt",
    "package_version",
]


@cache
def package_version() -> str:
    """Returns the version of this package; `"unknown"` in a source tree that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dxflow-async")
    except PackageNotFoundError:
        return "unknown"


class ShardPlace(NamedTuple):
    """A key, how users write it, and for a place on disks the directory that the key is in.

    Attributes:
        key, shown: as in `Place`.
        root: the directory; None for a remote.
        follows: symbolic links are followed, also out of `root`.
    """

    key: str
    shown: str
    root: str | None = None
    follows: bool = False

    @classmethod
    def of(cls, provider: Provider, key: str, shown: str) -> Self:
        """Returns a place of a provider."""
        disk = provider.local_disk
        return cls(key, shown) if disk is None else cls(key, shown, disk.root, disk.is_users)

    def provider(self, remote: Provider | None, threads: Threads) -> Provider:
        """Returns the place's provider.

        Args:
            remote: that of the call's area; None for this machine's disks.
            threads: for a place on disks.
        """
        if remote is not None:
            return remote
        return local_provider(self.root or os.sep, threads, follow_symlinks=self.follows)


class ItemRecord(NamedTuple):
    """An item that moves as a whole.

    Attributes:
        kind: `"copy"` for bytes that pass through the worker, `"server"` for a copy that the provider makes.
        source, destination: the places.
        entry: the source as a listing described it, if it was listed.
        options: what is stored with the copy.
        moves: the source is deleted once its copy is stored.
        keeps_time: as for `ServerCopyItem`.
        overwrite: what happens to an object that is there already.
    """

    kind: Literal["copy", "server"]
    source: ShardPlace
    destination: ShardPlace
    entry: Entry | None
    options: ObjectOptions
    moves: bool = False
    keeps_time: bool = False
    overwrite: Overwrite = True


class PartRange(NamedTuple):
    """Parts of one multipart upload.

    Attributes:
        source, destination: as for `ItemRecord`.
        entry: the version of the source that is read.
        options: what is stored with the object.
        upload_id: the upload, which the coordinator began and finishes.
        parts: the parts to write.
    """

    source: ShardPlace
    destination: ShardPlace
    entry: Entry
    options: ObjectOptions
    upload_id: str
    parts: Sequence[Part]


class KeyRange(NamedTuple):
    """Keys of a directory that a worker lists, and whose objects it copies or moves to another directory.

    Attributes:
        source, destination: the two directories.
        low: keys up to this one are left out.
        high: the last key that belongs to the range; None: all that follow.
        max_items, max_bytes: the worker ends after the page with which it has so many objects or bytes.
        options: what is stored with the copies.
        overwrite: what happens to objects that are there already.
        selection: the conditions of the call's `Selection`, in plain JSON types.
        moves: sources are deleted once their copies are stored.
        entries: the entries of the keys, packed, that a worker has listed before; None: they are not listed yet.
    """

    source: ShardPlace
    destination: ShardPlace
    low: str
    high: str | None
    max_items: int
    max_bytes: int
    options: ObjectOptions
    overwrite: Overwrite = True
    selection: Mapping[str, Any] = {}
    moves: bool = False
    entries: bytes | None = None


class ListedRange(NamedTuple):
    """How far a worker has come with a `KeyRange`.

    Attributes:
        names: the name in the directory of each item of the receipt.
        sizes: their sizes.
        large: objects that the coordinator has to cut into parts.
        first: the first key behind `low`, which may lie behind the range; None if the service listed none.
        last: the last key in the range that was listed.
        position: everything up to this key is done.
        beyond: the first key behind the range, if one was listed.
        ended: nothing of the range is left.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    large: Sequence[Entry]
    first: str | None
    last: str | None
    position: str
    beyond: str | None
    ended: bool


class ListingRange(NamedTuple):
    """Keys of a directory that a worker lists for others to work on.

    Attributes:
        prefix: the directory, in the source's area.
        low: keys up to this one are left out.
        high: the last key that belongs to the range; None: all that follow.
        max_items: the worker ends after the page with which it has so many keys.
        entries: what the listing told of each key is kept.
    """

    prefix: str
    low: str
    high: str | None
    max_items: int
    entries: bool = False


class PackedKeys(NamedTuple):
    """The names of keys in a directory, or the entries of the keys, as `pack` makes them.

    Attributes:
        number: how many they are.
        content: the bytes, which only workers open.
    """

    number: int
    content: bytes


class ListedKeys(NamedTuple):
    """How far a worker has come with a `ListingRange`.

    Attributes:
        keys: what it has listed.
        first: the first key behind `low`, which may lie behind the range; None if the service listed none.
        position: the last of `keys`; `low` if there are none.
        beyond: the first key behind them, if one was listed.
        ended: nothing of the range is left.
        refused: the service does not list from a key.
        sample: some of the keys.
    """

    keys: PackedKeys
    first: str | None
    position: str
    beyond: str | None
    ended: bool
    refused: bool
    sample: Sequence[str]


class PackedKeysToDelete(NamedTuple):
    """Keys of a directory to delete.

    Attributes:
        prefix: the directory, in the destination's area.
        keys: their names in it.
    """

    prefix: str
    keys: PackedKeys


class Budget(NamedTuple):
    """One worker's share of the call's limits. `max_bandwidth` is in bytes a second; None: there is no limit."""

    max_concurrency: int
    max_bandwidth: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A piece of a call that one worker does.

    Attributes:
        number: identifies the shard and the attempt within the call.
        operation: the operation of the call, as in `JobSpec`.
        areas: the areas of source and destination; None for the disks of the coordinator's machine.
        account: the hub that the account is at; None without a hub.
        settings: the settings of the coordinator that matter, by name.
        budget: the worker's share of the limits, if all workers have shards.
        limits: those of the whole call, which workers that see the channel divide as it tells.
        channel: the directory through which the coordinator and workers of its machine see each other.
        same_machine: the worker is on the coordinator's machine; where it does not see the channel, the call has ended.
        shared: directories that all workers see.
        owner_id: of the temporary files of workers that do not see the channel.
        left: how many items of the call have not ended.
        again: a worker that was lost may have done a part of it already.
        began: when the call began, in seconds since the epoch.
        items: items that move as a whole.
        parts: parts of one object.
        keys: keys of the destination's area to delete.
        range: keys to list, and whose objects to copy.
        listing: keys to list.
        listed_keys: keys to delete that a worker has listed.
    """

    number: int
    operation: str
    areas: tuple[AreaId | None, AreaId | None]
    account: str | None
    settings: Mapping[str, Any]
    budget: Budget
    channel: str
    same_machine: bool = False
    shared: Sequence[str] = ()
    owner_id: str = ""
    limits: Budget | None = None
    left: int = 0
    again: bool = False
    began: float = 0.0
    items: Sequence[ItemRecord] = ()
    parts: PartRange | None = None
    keys: Sequence[str] = ()
    range: KeyRange | None = None
    listing: ListingRange | None = None
    listed_keys: PackedKeysToDelete | None = None


class Failure(NamedTuple):
    """Why an item failed. An error's cause is not pickled with it, so it is kept here."""

    error: StorageError
    cause: DxflowError | None = None

    def restored(self) -> StorageError:
        """Returns the error with its cause."""
        self.error.__cause__ = self.cause
        return self.error


class ItemReceipt(NamedTuple):
    """The outcome of one item, as in `TransferResult`.

    Attributes:
        version: the version of the source that was moved.
        in_parts: the item was not moved: it is large, and the coordinator has to cut it into parts.
    """

    bytes: int = 0
    seconds: float = 0.0
    attempts: int = 1
    checksum: str | None = None
    verified: bool = False
    skipped: str | None = None
    failure: Failure | None = None
    version: str | None = None
    in_parts: bool = False
    unverified: str | None = None


class MovedPart(NamedTuple):
    """A part that a worker stored, and its digest where the source reports another one than a CRC32C."""

    receipt: PartReceipt
    digest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReceipt:
    """What a worker did.

    Attributes:
        seconds: how long it took.
        items: the outcome of each item, in the order of `Shard.items`.
        parts: the parts that are stored.
        latency: the mean time that an item or a part took.
        retries: the attempts beyond the first, of parts.
        failure: why the other parts, or all keys, failed; or why a range could not be done to its end.
        failed: the errors of the keys that could not be deleted.
        tried: for how many of `Shard.listed_keys` the service answered.
        listed: how far the worker has come with a range.
        keys: the same, where it only lists.
        owners: the owners of the temporary files of workers of this machine that had begun the shard before.
        unseen: the worker does not see the channel, since it is on another machine.
    """

    seconds: float
    latency: float = 0.0
    items: Sequence[ItemReceipt] = ()
    parts: Sequence[MovedPart] = ()
    retries: int = 0
    failure: Failure | None = None
    failed: Mapping[str, StorageError] = field(default_factory=dict)
    listed: ListedRange | None = None
    tried: int = 0
    keys: ListedKeys | None = None
    owners: Sequence[str] = ()
    unseen: bool = False
