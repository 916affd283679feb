"""tuspy: its uploader, 8 MiB at a time, in sixteen threads. It has no downloads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tusclient.client import TusClient

from benchmarks.clients import wire
from benchmarks.clients.job import MiB, TransferItem, measured


def _main() -> None:
    job = TransferItem.from_arguments()
    client = TusClient(wire.upload_url(job.place), headers={"X-SECRET-KEY": job.place.secret_key})

    def put(path: Path, key: str) -> None:
        with path.open("rb") as file:
            client.uploader(file_stream=file, chunk_size=8 * MiB, metadata=wire.metadata(key)).upload()

    with wire.connect(job.place) as session:
        session.options(wire.upload_url(job.place)).raise_for_status()
    with measured(), ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(put, path, key) for path, key, _ in job.files()]:
            done.result()


if __name__ == "__main__":
    _main()
