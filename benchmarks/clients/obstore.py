"""obstore: its own multipart for uploads, ranges in parallel for large downloads."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import uvloop
from obstore.store import S3Store

from benchmarks.clients.job import Job, MiB, measured

if TYPE_CHECKING:
    from obstore.store import ClientConfig

_PART = 8 * MiB


def _connect(job: Job) -> S3Store:
    options: ClientConfig = {"allow_http": True, "timeout": timedelta(minutes=5)}
    if job.ca_bundle is not None:
        options["root_certificate"] = Path(job.ca_bundle).read_bytes()
    return S3Store(
        job.bucket,
        endpoint=job.endpoint,
        region=job.region,
        access_key_id=job.access_key,
        secret_access_key=job.secret_key,
        virtual_hosted_style_request=False,
        client_options=options,
    )


async def _upload(store: S3Store, job: Job) -> None:
    slots = asyncio.Semaphore(32)

    async def put(path: Path, key: str, size: int) -> None:
        async with slots:
            multipart = size > _PART
            await obstore.put_async(store, key, path, use_multipart=multipart, chunk_size=_PART, max_concurrency=12)

    async with asyncio.TaskGroup() as group:
        for path, key, size in job.files():
            group.create_task(put(path, key, size))


async def _download(store: S3Store, job: Job) -> None:
    slots, range_slots = asyncio.Semaphore(32), asyncio.Semaphore(16)

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
        async for page in obstore.list(store, job.prefix):
            for item in page:
                key, size = item["path"], item["size"]
                group.create_task(get_ranges(key, size) if size > _PART else get(key))


async def _main() -> None:
    job = Job.from_arguments()
    store = _connect(job)
    await obstore.list(store, "nothing/").collect_async()
    with measured():
        await (_upload if job.operation == "upload" else _download)(store, job)


if __name__ == "__main__":
    uvloop.run(_main())
