"""`python -m benchmarks copy`: from each provider to each other one, ours against rclone."""

from __future__ import annotations

import argparse
from itertools import permutations

from benchmarks.competition import add_race_arguments, compete, contestants, scratch
from benchmarks.data import DATASETS, make
from benchmarks.race import Heat
from benchmarks.rows import Copy, stock
from benchmarks.stores import AzureStore, GCPStore, S3Store
from tests.servers import SeaweedFS

__all__ = ["add_arguments", "run"]

GiB = 1 << 30
PEERS = ["rclone"]
# One of 256 MiB, and 1,250 of 16 KiB: the servers are slow.
_DATASETS = ("big", "small")
_SHARE = 0.25
ROWS = [f"{one}-{other}-{name}" for one, other in permutations(("aws", "azure", "gcp"), 2) for name in _DATASETS]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_race_arguments(parser, ROWS, PEERS)


def run(options: argparse.Namespace) -> None:
    """Race, print the tables, write the JSON."""
    with (
        scratch(int(4 * GiB * options.scale) + GiB) as directory,
        SeaweedFS.start(directory / "server", tls=True) as server,
        AzureStore.running(directory / "azure") as azure,
        GCPStore.running(directory / "gcp") as gcp,
    ):
        stores = (S3Store(server), azure, gcp)
        sizes = {name: DATASETS[name](options.scale * _SHARE) for name in _DATASETS}
        datasets = [make(name, *sizes[name], directory / "source") for name in _DATASETS]
        buckets = {(store, dataset.name): stock(store, dataset) for store in stores for dataset in datasets}
        rows = [
            Copy(source, buckets[source, dataset.name], target, dataset)
            for source, target in permutations(stores, 2)
            for dataset in datasets
        ]
        compete(options, [Heat("copy", contestants(options, PEERS), rows)], directory)
