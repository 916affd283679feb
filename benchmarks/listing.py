"""`python -m benchmarks listing`: 100,000 objects of an S3 bucket listed recursively."""

from __future__ import annotations

import argparse
import shutil

from benchmarks.competition import add_race_arguments, compete, contestants, scratch
from benchmarks.data import make
from benchmarks.race import Heat
from benchmarks.rows import Listing, stock
from benchmarks.stores import S3Store
from tests.servers import SeaweedFS

__all__ = ["add_arguments", "run"]

KiB, GiB = 1 << 10, 1 << 30
OBJECTS = 100_000
PEERS = ["obstore", "s5cmd", "rclone"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_race_arguments(parser, ["recursive"], PEERS)


def run(options: argparse.Namespace) -> None:
    """Race, print the tables, write the JSON."""
    objects = max(int(OBJECTS * options.scale), 10)
    with (
        scratch(int(4 * GiB * options.scale) + GiB) as directory,
        SeaweedFS.start(directory / "server") as server,
    ):
        store = S3Store(server)
        dataset = make("many", f"{objects:,} x 1 KiB", [KiB] * objects, directory / "source")
        bucket = stock(store, dataset)
        shutil.rmtree(dataset.directory)
        compete(options, [Heat("listing", contestants(options, PEERS), [Listing(store, bucket, dataset)])], directory)
