"""`python -m benchmarks transfer`: uploads and downloads, ours against the peers, at one provider."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.competition import add_race_arguments, compete, contestants, scratch
from benchmarks.data import DATASETS, Dataset, make
from benchmarks.race import Heat
from benchmarks.rows import Download, Row, Upload, stock
from benchmarks.stores import AzureStore, GCPStore, S3Store, Store
from tests.servers import SeaweedFS

__all__ = ["add_arguments", "run"]

GiB = 1 << 30
ROWS = [f"{dataset}-{direction}" for dataset in DATASETS for direction in ("up", "down")]
TRANSPORTS = ("http", "https")
PEERS = {
    "aws": ["obstore", "s5cmd", "rclone", "boto3", "aioboto3"],
    "azure": ["azcopy", "obstore", "rclone", "azure-storage-blob"],
    "gcp": ["obstore", "rclone", "gcloud-aio-storage", "google-cloud-storage"],
}
_OTHERS: dict[str, type[AzureStore | GCPStore]] = {"azure": AzureStore, "gcp": GCPStore}
# Its uploads speak the XML API, which fake-gcs-server does not.
_NO_UPLOADS = {"gcp": ["obstore"]}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--provider", choices=PEERS, default="aws", help="where to (%(default)s)")
    add_race_arguments(parser, ROWS, list(dict.fromkeys(name for names in PEERS.values() for name in names)))
    parser.add_argument("--transports", nargs="+", choices=TRANSPORTS, default=TRANSPORTS, help="of S3")


def run(options: argparse.Namespace) -> None:
    """Race, print the tables, write the JSON."""
    racing = contestants(options, PEERS[options.provider])
    names = dict.fromkeys(row.partition("-")[0] for row in options.rows)
    with scratch(int(8 * GiB * options.scale) + GiB) as directory:
        datasets = [make(name, *DATASETS[name](options.scale), directory / "source") for name in names]
        if options.provider == "aws":
            with SeaweedFS.start(directory / "server", tls=True) as server:
                buckets = {dataset.name: stock(S3Store(server), dataset) for dataset in datasets}
                heats = []
                for name in options.transports:
                    store = S3Store(server, secure=name == "https")
                    heats.append(Heat(name, racing, _rows(store, datasets, buckets, directory)))
                compete(options, heats, directory)
        else:
            with _OTHERS[options.provider].running(directory / "servers") as servers:
                buckets = {dataset.name: stock(servers, dataset) for dataset in datasets}
                rows = _rows(servers, datasets, buckets, directory, _NO_UPLOADS.get(options.provider, ()))
                compete(options, [Heat(options.provider, racing, rows)], directory)


def _rows(
    store: Store,
    datasets: Sequence[Dataset],
    buckets: dict[str, str],
    directory: Path,
    no_uploads: Sequence[str] = (),
) -> list[Row]:
    rows: list[Row] = []
    for dataset in datasets:
        rows.append(Upload(store, dataset, no_uploads))
        rows.append(Download(store, dataset, buckets[dataset.name], directory))
    return rows
