"""`python -m benchmarks sync`: 20,000 files to S3, and once more when nothing has changed."""

from __future__ import annotations

import argparse

from benchmarks.competition import add_race_arguments, compete, contestants, scratch
from benchmarks.data import make
from benchmarks.race import Heat
from benchmarks.rows import FirstSync, SecondSync
from benchmarks.stores import S3Store
from tests.servers import SeaweedFS

__all__ = ["add_arguments", "run"]

KiB, GiB = 1 << 10, 1 << 30
FILES = 20_000
PEERS = ["s5cmd", "rclone"]
ROWS = ["first", "second"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_race_arguments(parser, ROWS, PEERS)


def run(options: argparse.Namespace) -> None:
    """Race, print the tables, write the JSON."""
    files = max(int(FILES * options.scale), 10)
    with (
        scratch(int(2 * GiB * options.scale) + GiB) as directory,
        SeaweedFS.start(directory / "server") as server,
    ):
        store = S3Store(server)
        dataset = make("sync", f"{files:,} files of 4 KiB", [4 * KiB] * files, directory / "source")
        rows = [FirstSync(store, dataset), SecondSync(store, dataset)]
        compete(options, [Heat("sync", contestants(options, PEERS), rows)], directory)
