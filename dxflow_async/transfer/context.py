"""What all items of one call share, and the places they move objects between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from dxflow_async.exceptions import UnsafePathError
from dxflow_async.paths import check_key

if TYPE_CHECKING:
    from dxflow_async.concurrency.threads import Threads
    from dxflow_async.providers.contract import Features, LocalDisk, ObjectOptions, Part, Provider
    from dxflow_async.transfer.adaptive_limit import AdaptiveLimit
    from dxflow_async.transfer.executor.shard import MovedPart, PartRange
    from dxflow_async.transfer.journal.journal import Journal
    from dxflow_async.transfer.limits import Limits
    from dxflow_async.transfer.memory_budget import MemoryBudget, MemoryShare
    from dxflow_async.transfer.overwrite import Overwrite
    from dxflow_async.transfer.plan import PartPolicy
    from dxflow_async.transfer.progress import Meter
    from dxflow_async.transfer.read_ahead import ReadAhead
    from dxflow_async.transfer.retry import RetryPolicy
    from dxflow_async.transfer.selection import Selection

__all__ = ["LINK_SUFFIX", "DeletionRest", "ListingRest", "PartMover", "Place", "Sides", "Symlinks", "TransferContext"]

Symlinks = Literal["follow", "skip", "preserve"]
"""What becomes of symbolic links: they are followed, skipped, or kept as links."""

LINK_SUFFIX = ".rclonelink"
"""Ends the name of an object that stands for a symbolic link; its content is the link's target, as rclone stores it.

Source: https://rclone.org/local/#links-l
"""


_MAX_SIDES = 64


class Place(NamedTuple):
    """A key at a provider, and how users write it."""

    provider: Provider
    key: str
    shown: str

    def check_target(self, operation: str, *, directory: bool = False) -> None:
        """Refuses a name that must not be created, before anything is sent.

        Args:
            operation: what is being done, for the error.
            directory: a directory is to be created, so the name may end in a slash.

        Raises:
            UnsafePathError: the key is unsafe (see `check_key`), names a bucket, or ends in a slash for no directory.
        """
        provider, key, features = self.provider, self.key, self.provider.features
        byte_names, any_names = features.byte_names, features.any_names
        check_key(key, provider=provider.name, operation=operation, byte_names=byte_names, any_names=any_names)
        reason = None
        if features.buckets and "/" not in key[:-1]:
            start = f"{self.shown.removesuffix('/')}/"
            reason = (
                f"it names a bucket; write {start} to copy something into the bucket, or {start}NAME; buckets are made "
                "with their cloud's own tools, such as aws s3 mb"
            )
        elif key.endswith("/") and not directory:
            reason = "the name of something with content must not end in a slash; give the whole name"
        if reason is not None:
            raise UnsafePathError(
                f"{provider.name} {operation} of {self.shown} refused: {reason}",
                provider=provider.name,
                operation=operation,
                path=self.shown,
            )


class Sides(NamedTuple):
    """What the items of a call that go from one provider to another share.

    Attributes:
        source, destination: the features of both.
        policy: how objects become parts.
        source_limit, destination_limit: the requests in flight to both; None for a local disk.
        writes_to: the destination, which reads back what it stores if both sides are disks that report no checksums.
        tagged: tags of a source go along: it is copied within a provider that has tags.
        memory: what the bytes of these items are taken from while they move.
        read_ahead: decides when the next large part is read into memory; None if none is.
        source_disk: the files of the source, if it is a disk of this machine.
    """

    source: Features
    destination: Features
    policy: PartPolicy
    source_limit: AdaptiveLimit | None
    destination_limit: AdaptiveLimit | None
    writes_to: Provider
    tagged: bool
    memory: MemoryBudget | MemoryShare
    read_ahead: ReadAhead | None
    source_disk: LocalDisk | None


class PartMover(Protocol):
    """Has the workers of an executor write parts, and list and copy what is left of long listings."""

    async def move(self, span: PartRange, part: Part) -> MovedPart:
        """Has a part of an upload written. Parts of one upload that are asked for together go to one worker.

        Args:
            span: describes the upload; its parts do not matter.
            part: the part.

        Raises:
            StorageError: the part was not written.
        """

    def share_out(self, rest: ListingRest) -> None:
        """Takes over what is left of a listing. It is done after everything that the plan yields."""


class ListingRest(NamedTuple):
    """What is left of a long listing of a directory, whose objects are copied or moved to another directory.

    Attributes:
        context: the call's context.
        source, target: the two directories.
        keys: the last keys that were listed. Everything up to the last of them is planned; of a move, all but the last
            of them, and there are two at least.
        options: what is stored with the copies.
        operation: the operation, for errors.
        overwrite: what happens to objects that are there already.
        move: sources are deleted.
    """

    context: TransferContext
    source: Place
    target: Place
    keys: Sequence[str]
    options: ObjectOptions
    operation: str
    overwrite: Overwrite
    move: bool = False


class DeletionRest(NamedTuple):
    """What is left of a long listing of a directory that is deleted.

    Attributes:
        provider: where the directory is.
        prefix: the directory.
        keys: the last keys that were listed, at least two. All but the last of them are deleted by others.
    """

    provider: Provider
    prefix: str
    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class TransferContext:
    """What all items of a call share.

    Attributes:
        limits: the session's budgets.
        policy: how often to retry.
        meter: the call's counters.
        part_size: the configured part size in bytes. An object of up to twice this size moves as one part.
        threads: for blocking work.
        journal: notes what is done; None without a journal.
        symlinks: what becomes of symbolic links below local directories.
        part_mover: writes the parts of large objects; None: this process does.
        selection: the items that are transferred; None: all of them.
    """

    limits: Limits
    policy: RetryPolicy
    meter: Meter
    part_size: int
    threads: Threads
    journal: Journal | None = None
    part_mover: PartMover | None = None
    symlinks: Symlinks = "follow"
    selection: Selection | None = None
    _sides: dict[tuple[Provider, Provider], Sides] = field(default_factory=dict, repr=False)

    def sides(self, source: Provider, destination: Provider) -> Sides:
        """Returns what items between two providers share. It is found anew when the features of one have changed."""
        known = self._sides.get((source, destination))
        if known is None or known.source is not source.features or known.destination is not destination.features:
            if len(self._sides) >= _MAX_SIDES:
                self._sides.clear()
            known = self._sides[source, destination] = _sides_of(self, source, destination)
        return known


def _sides_of(context: TransferContext, source: Provider, destination: Provider) -> Sides:
    from dxflow_async.transfer.plan import PartPolicy

    reads, writes, limits = source.features, destination.features, context.limits
    reads_back = (
        source.local_disk is not None and destination.local_disk is not None and not (reads.checksum or writes.checksum)
    )
    policy = PartPolicy(reads, writes, context.part_size)
    return Sides(
        reads,
        writes,
        policy,
        limits.requests(source),
        limits.requests(destination),
        destination.reading_back() if reads_back else destination,
        source.origin is destination.origin and "tags" in writes.options,
        limits.copy_memory if policy.in_memory else limits.memory,
        limits.read_ahead(source, destination) if policy.in_memory else None,
        source.local_disk,
    )
