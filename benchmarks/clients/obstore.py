"""obstore: its own multipart for uploads, ranges in parallel for large downloads."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import obstore
import uvloop
from obstore.store import AzureStore, GCSStore, S3Store

from benchmarks.clients.job import MiB, TransferItem, measured

if TYPE_CHECKING:
    from obstore.store import ClientConfig

_PART = 8 * MiB
_IN_FLIGHT = int(os.environ.get("BENCHMARK_IN_FLIGHT", "32"))
_RANGES = int(os.environ.get("BENCHMARK_IN_FLIGHT", "16"))
_PARTS = max(_IN_FLIGHT // 4, 12)

Store: TypeAlias = S3Store | AzureStore | GCSStore


def _connect(job: TransferItem) -> Store:
    place = job.place
    options: ClientConfig = {"allow_http": True, "timeout": timedelta(minutes=5)}
    if place.ca_bundle is not None:
        options["root_certificate"] = Path(place.ca_bundle).read_bytes()
    if place.provider == "AZURE":
        return AzureStore(
            place.bucket,
            endpoint=place.endpoint,
            account_name=place.access_key,
            account_key=place.secret_key,
            client_options=options,
        )
    if place.provider == "GCP":
        account = {"gcs_base_url": place.endpoint, "disable_oauth": True}
        empty = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        return GCSStore(place.bucket, service_account_key=json.dumps(account | empty), client_options=options)
    return S3Store(
        place.bucket,
        endpoint=place.endpoint,
        region=place.region,
        access_key_id=place.access_key,
        secret_access_key=place.secret_key,
        virtual_hosted_style_request=False,
        client_options=options,
    )


async def _upload(store: Store, job: TransferItem) -> None:
    slots = asyncio.Semaphore(_IN_FLIGHT)

    async def put(path: Path, key: str, size: int) -> None:
        async with slots:
            multipart = size > _PART
            await obstore.put_async(store, key, path, use_multipart=multipart, chunk_size=_PART, max_concurrency=_PARTS)

    async with asyncio.TaskGroup() as group:
        for path, key, size in job.files():
            group.create_task(put(path, key, size))


async def _download(store: Store, job: TransferItem) -> None:
    slots, range_slots = asyncio.Semaphore(_IN_FLIGHT), asyncio.Semaphore(_RANGES)

    async def get(key: str) -> None:
        async with slots:
            body = await (await obstore.get_async(store, key)).bytes_async()
            job.path_of(key).write_bytes(body)

    async def get_range(key: str, file: int, start: int, end: int) -> None:
        async with range_slots:
            os.pwrite(file, await obstore.get_range_async(store, key, start=start, end=end), start)

    async def get_ranges(key: str, size: int) -> None:
        file = os.open(job.path_of(key), os.O_WRONLY | os.O_CREAT)
        try:
            async with asyncio.TaskGroup() as group:
                for start in range(0, size, _PART):
                    group.create_task(get_range(key, file, start, min(size, start + _PART)))
        finally:
            os.close(file)

    async with asyncio.TaskGroup() as group:
        async for page in obstore.list(store, job.place.prefix):
            for item in page:
                key, size = item["path"], item["size"]
                group.create_task(get_ranges(key, size) if size > _PART else get(key))


async def _list(store: Store, job: TransferItem) -> int:
    count = 0
    async for page in obstore.list(store, job.place.prefix, chunk_size=1000):
        count += len(page)
    return count


async def _delete(store: Store, job: TransferItem) -> int:
    async def delete(keys: list[str]) -> None:
        await obstore.delete_async(store, keys)

    count = 0
    async with asyncio.TaskGroup() as group:
        async for page in obstore.list(store, job.place.prefix, chunk_size=1000):
            count += len(page)
            group.create_task(delete([item["path"] for item in page]))
    return count


async def _main() -> None:
    job = TransferItem.from_arguments()
    store = _connect(job)
    await obstore.list(store, "nothing/").collect_async()
    with measured() as figures:
        if job.operation == "list":
            figures["items"] = await _list(store, job)
        elif job.operation == "delete":
            figures["items"] = await _delete(store, job)
        else:
            await (_upload if job.operation == "upload" else _download)(store, job)


if __name__ == "__main__":
    uvloop.run(_main())
