"""As the published SDK of units does it: file after file, uploads in 1 MiB PATCHes, downloads whole in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.clients import wire
from benchmarks.clients.job import MiB, TransferItem, measured

if TYPE_CHECKING:
    import requests


def _upload(session: requests.Session, job: TransferItem) -> None:
    for path, key, size in job.files():
        url, offset = wire.create(session, job.place, key, size), 0
        with path.open("rb") as file:
            while data := file.read(MiB):
                headers = {
                    "Tus-Resumable": "1.0.0",
                    "Upload-Offset": str(offset),
                    "Content-Type": "application/offset+octet-stream",
                }
                session.patch(url, data=data, headers=headers).raise_for_status()
                offset += len(data)


def _download(session: requests.Session, job: TransferItem) -> None:
    for name in wire.names(session, job.place):
        key = job.place.prefix + name
        response = session.get(wire.download_url(job.place, key))
        response.raise_for_status()
        job.path_of(key).write_bytes(response.content)


def _main() -> None:
    job = TransferItem.from_arguments()
    with wire.connect(job.place) as session:
        session.options(wire.upload_url(job.place)).raise_for_status()
        with measured():
            (_upload if job.operation == "upload" else _download)(session, job)


if __name__ == "__main__":
    _main()
