"""Plain aioboto3: `upload_file` and `download_file`, sixteen files at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aioboto3
import uvloop
from aiobotocore.config import AioConfig
from boto3.s3.transfer import TransferConfig

from benchmarks.clients.job import MiB, TransferItem, measured

_OPTIONS = TransferConfig(multipart_threshold=8 * MiB, multipart_chunksize=8 * MiB, max_concurrency=16)


async def _upload(client: Any, job: TransferItem) -> None:
    slots = asyncio.Semaphore(16)

    async def put(path: Path, key: str) -> None:
        async with slots:
            await client.upload_file(str(path), job.place.bucket, key, Config=_OPTIONS)

    async with asyncio.TaskGroup() as group:
        for path, key, _ in job.files():
            group.create_task(put(path, key))


async def _download(client: Any, job: TransferItem) -> None:
    slots = asyncio.Semaphore(16)

    async def get(key: str) -> None:
        async with slots:
            await client.download_file(job.place.bucket, key, str(job.path_of(key)), Config=_OPTIONS)

    async with asyncio.TaskGroup() as group:
        async for page in client.get_paginator("list_objects_v2").paginate(
            Bucket=job.place.bucket, Prefix=job.place.prefix
        ):
            for item in page["Contents"]:
                group.create_task(get(item["Key"]))


async def _main() -> None:
    job = TransferItem.from_arguments()
    session = aioboto3.Session(job.place.access_key, job.place.secret_key, region_name=job.place.region)
    options = AioConfig(max_pool_connections=64, s3={"addressing_style": "path"})
    async with session.client(
        "s3", endpoint_url=job.place.endpoint, verify=job.place.ca_bundle, config=options
    ) as client:
        await client.head_bucket(Bucket=job.place.bucket)
        with measured():
            await (_upload if job.operation == "upload" else _download)(client, job)


if __name__ == "__main__":
    uvloop.run(_main())
