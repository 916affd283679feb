"""Does a shard in a worker: with the engine, within the worker's own limits."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from anyio import CancelScope

from dxflow_async.concurrency.pool import open_task_group
from dxflow_async.exceptions import (
    AuthenticationError,
    ConfigurationError,
    DxflowError,
    StorageError,
)
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Provider
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import Engine, TransferItem
from dxflow_async.transfer.executor.channel import ShardCancelledError, WorkerChannel
from dxflow_async.transfer.executor.range_items import RangeItems
from dxflow_async.transfer.executor.range_listing import PackedDeletion, list_range
from dxflow_async.transfer.executor.shard import (
    Failure,
    ItemReceipt,
    KeyRange,
    ListingRange,
    PackedKeysToDelete,
    PartRange,
    Shard,
    ShardPlace,
    ShardReceipt,
)
from dxflow_async.transfer.executor.sizes import share
from dxflow_async.transfer.executor.worker_items import NeedsPartsError, PartsItem, Redone, whole_item
from dxflow_async.transfer.request import delete_keys, request
from dxflow_async.transfer.resources import Resources

__all__ = ["run_shard"]

_BEAT_SECONDS = 0.2

Places = Callable[[int, ShardPlace], Place]
Ended = Callable[[TransferItem, TransferResult], None]


async def run_shard(resources: Resources, places: Places, shard: Shard, channel: WorkerChannel) -> ShardReceipt:
    """Does a shard, and returns its receipt. What fails in it is part of the receipt.

    Args:
        resources: the worker's.
        places: returns the places of the source (0) and the destination (1).
        shard: the shard.
        channel: tells the coordinator that the worker is alive, and the worker when to end.

    Raises:
        ShardCancelledError: the call has ended; nothing of the shard is left.
    """
    context = resources.context(None)
    started = monotonic()
    ended = False
    receipt: ShardReceipt | None = None

    async def watch(scope: CancelScope) -> None:
        nonlocal ended
        sharers: int | None = None
        while True:
            channel.beat(context.meter.state().bytes_done)
            if (told := channel.sharers()) != sharers and told is not None and shard.limits is not None:
                sharers = told
                resources.limits.change_budget(*share(*shard.limits, told))
            if channel.ended():
                ended = True
                scope.cancel()
            await asyncio.sleep(_BEAT_SECONDS)

    try:
        channel.beat(0)  # nothing is written before the coordinator can know whose it is
        async with open_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            # An executor that this machine does not see may hand a shard out again by itself.
            redone = Redone(shard.again or channel.begun, not channel.visible, shard.began)
            receipt = await _run(resources, context, places, shard, redone, started)
            group.cancel_scope.cancel()
    finally:
        channel.close()
    if receipt is None or ended:
        raise ShardCancelledError("the call has ended")
    return replace(receipt, owners=channel.earlier, unseen=not channel.visible)


async def _run(
    resources: Resources,
    context: TransferContext,
    places: Places,
    shard: Shard,
    redone: Redone,
    started: float,
) -> ShardReceipt:
    if shard.parts is not None:
        return await _run_parts(resources, context, places, shard.parts, started)
    if shard.range is not None:
        return await _run_range(resources, context, places, shard, shard.range, redone, started)
    if shard.listing is not None:
        return await _list(resources, places(0, ShardPlace("", "")).provider, shard.listing, started)
    if shard.listed_keys is not None:
        return await _delete_listed(resources, places(1, ShardPlace("", "")).provider, shard.listed_keys, started)
    if shard.keys:
        return await _delete(resources, places(1, ShardPlace("", "")).provider, shard.keys, started)
    return await _run_items(resources, context, places, shard, redone, started)


async def _run_items(
    resources: Resources,
    context: TransferContext,
    places: Places,
    shard: Shard,
    redone: Redone,
    started: float,
) -> ShardReceipt:
    items = [
        whole_item(context, places(0, record.source), places(1, record.destination), record, redone)
        for record in shard.items
    ]
    context.meter.others_left = max(shard.left - len(items), 0)
    numbers = {id(item): number for number, item in enumerate(items)}
    receipts: list[ItemReceipt | None] = [None] * len(items)

    def note(item: TransferItem, result: TransferResult) -> None:
        receipts[numbers[id(item)]] = _receipt(item, result)

    with suppress(ConfigurationError, AuthenticationError):  # every item has it as the cause of its error
        await _move(resources, context, _each(items), note)
    done = [receipt for receipt in receipts if receipt is not None]
    assert len(done) == len(items)
    latency = sum(receipt.seconds for receipt in done) / len(done)
    return ShardReceipt(seconds=monotonic() - started, latency=latency, items=done)


async def _run_range(
    resources: Resources,
    context: TransferContext,
    places: Places,
    shard: Shard,
    span: KeyRange,
    redone: Redone,
    started: float,
) -> ShardReceipt:
    source, target = places(0, span.source), places(1, span.destination)
    planned = RangeItems(context, source, target, span, shard.operation, redone)
    context.meter.others_left = max(shard.left, span.max_items)
    receipts: dict[int, ItemReceipt] = {}

    def note(item: TransferItem, result: TransferResult) -> None:
        receipts[id(item)] = _receipt(item, result)

    try:
        await _move(resources, context, planned.items(), note)
    except (ConfigurationError, AuthenticationError):
        if not receipts:
            raise
    listed, done = planned.listed(receipts)
    latency = sum(receipt.seconds for receipt in done) / max(len(done), 1)
    failure = None if planned.error is None else _failure(planned.error)
    seconds = monotonic() - started
    return ShardReceipt(seconds=seconds, latency=latency, items=done, failure=failure, listed=listed)


async def _run_parts(
    resources: Resources,
    context: TransferContext,
    places: Places,
    span: PartRange,
    started: float,
) -> ShardReceipt:
    start, goal = places(0, span.source), places(1, span.destination)
    try:
        upload, _ = await request(
            lambda: goal.provider.resume_upload(goal.key, span.upload_id, (), span.options),
            goal.provider,
            limits=resources.limits,
            policy=resources.policy,
        )
    except StorageError as raised:
        return ShardReceipt(seconds=monotonic() - started, failure=_failure(raised))
    item = PartsItem(context, start, goal, span, upload)
    results: list[TransferResult] = []
    with suppress(ConfigurationError, AuthenticationError):
        await _move(resources, context, _each([item]), lambda _, result: results.append(result))
    (result,) = results
    error = item.refused or result.error
    failure = None if error is None else _failure(error)
    stored, retries = item.stored, result.attempts - 1
    latency = item.seconds / max(len(stored), 1)
    return ShardReceipt(seconds=monotonic() - started, latency=latency, parts=stored, retries=retries, failure=failure)


async def _delete(resources: Resources, provider: Provider, keys: Sequence[str], started: float) -> ShardReceipt:
    try:
        failed = await delete_keys(provider, keys, limits=resources.limits, policy=resources.policy)
    except StorageError as error:
        return ShardReceipt(seconds=monotonic() - started, failure=_failure(error))
    return ShardReceipt(seconds=monotonic() - started, failed={key: _sendable(each) for key, each in failed.items()})


async def _list(resources: Resources, provider: Provider, span: ListingRange, started: float) -> ShardReceipt:
    keys, error = await list_range(provider, span, limits=resources.limits, policy=resources.policy)
    failure = None if error is None else _failure(error)
    return ShardReceipt(seconds=monotonic() - started, failure=failure, keys=keys)


async def _delete_listed(
    resources: Resources, provider: Provider, wanted: PackedKeysToDelete, started: float
) -> ShardReceipt:
    deletion = PackedDeletion(provider, *wanted, limits=resources.limits, policy=resources.policy)
    await deletion.run()
    return ShardReceipt(
        seconds=monotonic() - started,
        failure=None if deletion.error is None else _failure(deletion.error),
        failed={key: _sendable(each) for key, each in deletion.failed.items()},
        tried=deletion.tried,
    )


async def _move(
    resources: Resources, context: TransferContext, items: AsyncIterator[TransferItem], note: Ended
) -> None:
    limits = resources.limits
    engine = Engine(
        limits.workers,
        context.meter,
        None,
        limits.max_finishing,
        limits.out_of_descriptors,
        ended=note,
    )
    limits.calls += 1
    try:
        await engine.run(items)
    finally:
        limits.calls -= 1


async def _each(items: Sequence[TransferItem]) -> AsyncIterator[TransferItem]:
    for item in items:
        yield item


def _receipt(item: TransferItem, result: TransferResult) -> ItemReceipt:
    if isinstance(result.error, NeedsPartsError):
        return ItemReceipt(in_parts=True)
    failure = None if result.error is None else _failure(result.error)
    return ItemReceipt(
        result.bytes,
        result.seconds,
        result.attempts,
        result.checksum,
        result.verified,
        result.skipped,
        failure,
        item.version,
        unverified=result.unverified,
    )


def _failure(error: StorageError) -> Failure:
    cause = error.__cause__ if isinstance(error.__cause__, DxflowError) else None
    return Failure(_sendable(error), None if cause is None or _pickled(cause) is None else cause)


def _sendable(error: StorageError) -> StorageError:
    """Returns an error that can be pickled and unpickled: the error itself, if it can."""
    if _pickled(error) is not None:
        return error
    return StorageError(str(error), **{name: getattr(error, name) for name in _TOLD})


def _pickled(error: DxflowError) -> bytes | None:
    try:
        text = pickle.dumps(error)
        pickle.loads(text)  # noqa: S301 - what this process pickled itself
    except Exception:  # noqa: BLE001 - an error of somebody else's provider may hold anything
        return None
    return text


_TOLD = ("provider", "operation", "path", "status", "code", "request_id", "retryable", "retry_after")
