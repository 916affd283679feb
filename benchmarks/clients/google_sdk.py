"""google-cloud-storage's transfer_manager: sixteen threads, large objects downloaded in ranges.

Its parallel upload of one file speaks the XML multipart API, which fake-gcs-server does not have: one stream a file.
"""

from __future__ import annotations

from typing import Any

from google.auth import credentials
from google.cloud import storage
from google.cloud.storage import transfer_manager

from benchmarks.clients.job import MiB, TransferItem, measured

_PART = 8 * MiB
_OPTIONS: dict[str, Any] = {"worker_type": transfer_manager.THREAD, "max_workers": 16}


def _upload(bucket: Any, job: TransferItem) -> None:
    names = [key.removeprefix(job.place.prefix) for _, key, _ in job.files()]
    prefix = job.place.prefix
    results = transfer_manager.upload_many_from_filenames(
        bucket, names, source_directory=job.directory, blob_name_prefix=prefix, raise_exception=True, **_OPTIONS
    )
    assert len(results) == len(names)


def _download(bucket: Any, job: TransferItem) -> None:
    blobs = list(bucket.list_blobs(prefix=job.place.prefix))
    small = [(blob, str(job.path_of(blob.name))) for blob in blobs if blob.size <= _PART]
    transfer_manager.download_many(small, raise_exception=True, **_OPTIONS)
    for blob in blobs:
        if blob.size > _PART:
            path = str(job.path_of(blob.name))
            transfer_manager.download_chunks_concurrently(blob, path, chunk_size=_PART, **_OPTIONS)


def _main() -> None:
    job = TransferItem.from_arguments()
    anonymous: Any = credentials.AnonymousCredentials
    options = {"api_endpoint": job.place.endpoint}
    client = storage.Client("test", credentials=anonymous(), client_options=options)
    bucket = client.bucket(job.place.bucket)
    bucket.reload()
    with measured():
        (_upload if job.operation == "upload" else _download)(bucket, job)


if __name__ == "__main__":
    _main()
