"""`python -m benchmarks journal`: what the record of a job costs: the same transfers with it and without, by turns."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import NamedTuple

from benchmarks.data import Dataset, make
from benchmarks.stores import S3Store
from dxflow_async import AsyncSession
from dxflow_async.config.loader import parse_size
from tests.servers import SeaweedFS
from tests.sessions import settings_for

__all__ = ["add_arguments", "run"]

KiB, GiB = 1 << 10, 1 << 30


class _Took(NamedTuple):
    """Seconds of a transfer: on the wall, and of this process's CPU."""

    wall: float
    cpu: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--files", type=int, default=5000, help="files of 16 KiB (%(default)s); 0 leaves them out")
    parser.add_argument("--size", type=parse_size, default="1GiB", help="of the large file (%(default)s); 0: none")
    parser.add_argument("--rounds", type=int, default=5, help="transfers each way, with and without (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Transfer by turns, print medians and ratios."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name, SeaweedFS.start(Path(name, "server")) as server:
        source = Path(name, "source")
        if options.files:
            many = make("many", f"{options.files:,} x 16 KiB", [16 * KiB] * options.files, source)
            _measure(server, many, Path(name), options.rounds)
        if options.size:
            large = make("large", f"{options.size / GiB:g} GiB", [options.size], source)
            _measure(server, large, Path(name), options.rounds)


def _measure(server: SeaweedFS, dataset: Dataset, scratch: Path, rounds: int) -> None:
    store = S3Store(server)
    store.create(dataset.name)
    up: dict[bool, list[_Took]] = {True: [], False: []}
    down: dict[bool, list[_Took]] = {True: [], False: []}
    for number in range(2 * rounds + 1):
        # The first is for the server to warm up; then which one begins a pair changes each time.
        journal = number % 4 in (1, 2)
        took = asyncio.run(_once(server, dataset, scratch, journal=journal))
        if number:
            up[journal].append(took[0])
            down[journal].append(took[1])
    store.delete(dataset.name)
    for way, figures in (("up", up), ("down", down)):
        _print(f"{dataset.title} {way}", figures)


async def _once(server: SeaweedFS, dataset: Dataset, scratch: Path, *, journal: bool) -> tuple[_Took, _Took]:
    target = scratch / "target"
    async with AsyncSession(settings=settings_for(server, scratch / "home", journal=journal)) as session:
        storage = session.get_storage_manager()
        up = await _timed(lambda: storage.upload(f"{dataset.directory}/", f"/{dataset.name}/data/"))
        down = await _timed(lambda: storage.download(f"/{dataset.name}/data/", target))
    await asyncio.to_thread(dataset.check, target)
    await asyncio.to_thread(shutil.rmtree, target)
    return up, down


async def _timed(transfer: Callable[[], Awaitable[object]]) -> _Took:
    wall, cpu = perf_counter(), process_time()
    await transfer()
    return _Took(perf_counter() - wall, process_time() - cpu)


def _print(row: str, figures: dict[bool, list[_Took]]) -> None:
    walls = {journal: median(each.wall for each in took) for journal, took in figures.items()}
    cpus = {journal: median(each.cpu for each in took) for journal, took in figures.items()}
    sys.stdout.write(
        f"{row}: with {walls[True]:.2f} s ({cpus[True]:.2f} s CPU), without {walls[False]:.2f} s "
        f"({cpus[False]:.2f} s CPU): wall {walls[True] / walls[False]:.3f}, CPU {cpus[True] / cpus[False]:.3f}\n"
    )
    sys.stdout.flush()
