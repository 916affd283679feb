"""azure-storage-blob: `upload_blob` and `download_blob`, sixteen files at a time, sixteen blocks of a large one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import uvloop
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob.aio import ContainerClient

from benchmarks.clients.job import MiB, TransferItem, measured

_PART = 8 * MiB
# The newest that Azurite knows.
_API_VERSION = "2025-11-05"


async def _upload(container: ContainerClient, job: TransferItem) -> None:
    slots = asyncio.Semaphore(16)

    async def put(path: Path, key: str, size: int) -> None:
        async with slots:
            with path.open("rb") as file:
                await container.upload_blob(key, file, length=size, max_concurrency=16)

    async with asyncio.TaskGroup() as group:
        for path, key, size in job.files():
            group.create_task(put(path, key, size))


async def _download(container: ContainerClient, job: TransferItem) -> None:
    slots = asyncio.Semaphore(16)

    async def get(key: str) -> None:
        async with slots:
            stream = await container.download_blob(key, max_concurrency=16)
            with job.path_of(key).open("wb") as file:
                await stream.readinto(file)

    async with asyncio.TaskGroup() as group:
        async for name in container.list_blob_names(name_starts_with=job.place.prefix):
            group.create_task(get(name))


async def _main() -> None:
    job = TransferItem.from_arguments()
    place = job.place
    async with ContainerClient(
        place.endpoint,
        place.bucket,
        AzureNamedKeyCredential(place.access_key, place.secret_key),
        api_version=_API_VERSION,
        max_single_put_size=_PART,
        max_block_size=_PART,
        max_single_get_size=_PART,
        max_chunk_get_size=_PART,
    ) as container:
        await container.get_container_properties()
        with measured():
            await (_upload if job.operation == "upload" else _download)(container, job)


if __name__ == "__main__":
    uvloop.run(_main())
