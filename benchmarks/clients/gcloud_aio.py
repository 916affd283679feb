"""gcloud-aio-storage: `upload` and `download_stream`, thirty-two files at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from gcloud.aio.storage import Bucket, Storage

from benchmarks.clients.job import MiB, TransferItem, measured

_SECONDS = 900


async def _upload(storage: Storage, job: TransferItem) -> None:
    slots = asyncio.Semaphore(32)

    async def put(path: Path, key: str) -> None:
        async with slots:
            with path.open("rb") as file:
                await storage.upload(job.place.bucket, key, file, timeout=_SECONDS)

    async with asyncio.TaskGroup() as group:
        for path, key, _ in job.files():
            group.create_task(put(path, key))


async def _download(storage: Storage, job: TransferItem) -> None:
    slots = asyncio.Semaphore(32)

    async def get(key: str) -> None:
        async with slots:
            stream = await storage.download_stream(job.place.bucket, key, timeout=_SECONDS)
            with job.path_of(key).open("wb") as file:
                while data := await stream.read(MiB):
                    file.write(data)

    names = await Bucket(storage, job.place.bucket).list_blobs(prefix=job.place.prefix)
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(get(name))


async def _main() -> None:
    job = TransferItem.from_arguments()
    async with aiohttp.ClientSession() as session:
        # Its annotation names the blocking twin's session.
        own: Any = session
        storage = Storage(session=own, api_root=job.place.endpoint)
        await storage.list_objects(job.place.bucket, params={"prefix": "nothing/"})
        with measured():
            await (_upload if job.operation == "upload" else _download)(storage, job)


if __name__ == "__main__":
    uvloop.run(_main())
