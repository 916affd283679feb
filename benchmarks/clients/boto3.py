"""boto3: one transfer manager (s3transfer) of sixteen threads for all files."""

from __future__ import annotations

from typing import Any

import boto3
from boto3.s3.transfer import (
    TransferConfig,
    create_transfer_manager,
)
from botocore.config import Config

from benchmarks.clients.job import MiB, TransferItem, measured

_OPTIONS = TransferConfig(
    multipart_threshold=8 * MiB, multipart_chunksize=8 * MiB, max_concurrency=16, preferred_transfer_client="classic"
)


def _upload(client: Any, job: TransferItem) -> None:
    with create_transfer_manager(client, _OPTIONS) as manager:
        futures = [manager.upload(str(path), job.place.bucket, key) for path, key, _ in job.files()]
        for future in futures:
            future.result()


def _download(client: Any, job: TransferItem) -> None:
    with create_transfer_manager(client, _OPTIONS) as manager:
        futures = [
            manager.download(job.place.bucket, item["Key"], str(job.path_of(item["Key"])))
            for page in client.get_paginator("list_objects_v2").paginate(
                Bucket=job.place.bucket, Prefix=job.place.prefix
            )
            for item in page["Contents"]
        ]
        for future in futures:
            future.result()


def _main() -> None:
    job = TransferItem.from_arguments()
    client = boto3.client(
        "s3",
        endpoint_url=job.place.endpoint,
        region_name=job.place.region,
        aws_access_key_id=job.place.access_key,
        aws_secret_access_key=job.place.secret_key,
        verify=job.place.ca_bundle,
        config=Config(max_pool_connections=32, s3={"addressing_style": "path"}),
    )
    client.head_bucket(Bucket=job.place.bucket)
    with measured():
        (_upload if job.operation == "upload" else _download)(client, job)


if __name__ == "__main__":
    _main()
