"""`python -m benchmarks units`: files to a compute unit and back, on loopback and through 40 ms of round trip."""

from __future__ import annotations

import argparse
import contextlib

from benchmarks.competition import add_race_arguments, compete, contestants, scratch
from benchmarks.data import GiB, KiB, MiB, make
from benchmarks.delay import Delay
from benchmarks.race import Heat
from benchmarks.rows import Download, Upload, stock
from benchmarks.stores import UnitStore
from tests.server.running_hub import UnitProcess

__all__ = ["add_arguments", "run"]

ROUND_TRIP = 0.04
PEERS = ["curl", "tuspy", "sequential PATCHes"]
TABLES = ("unit", "40ms")
ROWS = ["big-up", "big-down", "small-up", "small-down"]
# tuspy has no downloads; curl is for the large file.
_WITHOUT = {"big-up": (), "big-down": ("tuspy",), "small-up": ("curl",), "small-down": ("tuspy", "curl")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_race_arguments(parser, ROWS, PEERS)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="without and with the round trip")


def run(options: argparse.Namespace) -> None:
    """Race, print the tables, write the JSON."""
    size, files = max(int(GiB * options.scale), MiB), max(int(2000 * options.scale), 10)
    with scratch(int(5 * GiB * options.scale) + GiB) as directory, contextlib.ExitStack() as stack:
        datasets = [
            make("big", f"1 x {size // MiB:,} MiB", [size], directory / "source"),
            make("small", f"{files:,} x 16 KiB", [16 * KiB] * files, directory / "source"),
        ]
        (directory / "unit").mkdir()
        unit = UnitProcess(directory / "unit")
        process = unit.start()
        stack.callback(process.kill)
        delay = stack.enter_context(Delay.running(unit.port, ROUND_TRIP, directory))
        direct = UnitStore(unit, process)
        buckets = {dataset.name: stock(direct, dataset) for dataset in datasets}
        heats = []
        for name in options.tables:
            store = direct if name == "unit" else UnitStore(unit, process, delay)
            rows = [
                row
                for dataset in datasets
                for row in (
                    Upload(store, dataset, _WITHOUT[f"{dataset.name}-up"]),
                    Download(store, dataset, buckets[dataset.name], directory, _WITHOUT[f"{dataset.name}-down"]),
                )
            ]
            heats.append(Heat(name, contestants(options, PEERS), rows))
        compete(options, heats, directory)
