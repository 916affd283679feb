"""The arithmetic of very large calls: shards, requests, hours and the size of the journal. Pure numbers."""

from __future__ import annotations

from dataclasses import dataclass

from dxflow_async.transfer.executor.sizes import SHARDS_PER_WORKER

__all__ = ["Estimate", "estimate"]

_LISTED = 1000
"""Keys on a page of a listing, at S3 and Google; Azure has 5,000."""

_ROW_BYTES = 205
"""Bytes that a finished item takes in a job file, measured with two locations of 64 characters."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call takes.

    Attributes:
        shards: the shards it is cut into.
        shards_out: the most shards that are handed out at a time, which is what the coordinator holds of the plan.
        list_requests: pages that are listed at the source.
        get_requests, put_requests: requests for objects and parts.
        journal_bytes: the size of the job file at the end.
        hours_by_requests, hours_by_bytes, hours_by_planning: how long each of the three takes; the call takes as long
            as the longest of them.
    """

    shards: int
    shards_out: int
    list_requests: int
    get_requests: int
    put_requests: int
    journal_bytes: int
    hours_by_requests: float
    hours_by_bytes: float
    hours_by_planning: float

    @property
    def hours(self) -> float:
        """How long the call takes."""
        return max(self.hours_by_requests, self.hours_by_bytes, self.hours_by_planning)


def estimate(
    objects: int,
    size: int,
    *,
    workers: int,
    objects_per_second: float,
    bytes_per_second: float,
    planned_per_second: float,
    shard_items: int = 4096,
    shard_bytes: int = 1 << 30,
    part_size: int = 32 << 20,
) -> Estimate:
    """Returns what a call takes.

    Args:
        objects: how many objects.
        size: the sum of their sizes, in bytes; all of them are equally large.
        workers: how many workers there are.
        objects_per_second, bytes_per_second: what one worker moves.
        planned_per_second: the objects that the coordinator plans and journals a second.
        shard_items, shard_bytes: the largest shard.
        part_size: objects of more than two parts are cut.

    Example:
        >>> found = estimate(10**9, 10**12, workers=100, objects_per_second=5000, bytes_per_second=1e9,
        ...                  planned_per_second=20_000)
        >>> found.shards, found.list_requests, round(found.hours_by_planning, 1)
        (244141, 1000000, 13.9)
    """
    each = size / objects
    parts = 1 if each <= 2 * part_size else -(-int(each) // part_size)
    per_shard = min(shard_items, max(int(shard_bytes // max(each, 1)), 1))
    shards = -(-objects // per_shard) if parts == 1 else objects * -(-int(each) // shard_bytes)
    requests = objects * parts + (2 * objects if parts > 1 else 0)
    return Estimate(
        shards=shards,
        shards_out=workers * SHARDS_PER_WORKER,
        list_requests=-(-objects // _LISTED),
        get_requests=objects * parts,
        put_requests=requests,
        journal_bytes=objects * _ROW_BYTES,
        hours_by_requests=objects * parts / (objects_per_second * workers) / 3600,
        hours_by_bytes=size / (bytes_per_second * workers) / 3600,
        hours_by_planning=objects / planned_per_second / 3600,
    )
