"""One, two and four processes against one.

Rows: (a) files of 16 KiB, up and down, at a server of this machine that costs next to nothing; (b) an object of 1 GiB
down, behind a delay and at a limited rate on each connection; (c) planning so many items for workers that do nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from benchmarks.data import KiB, make
from dxflow_async import AsyncSession, AWSSettings, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.transfer.engine import Engine, TransferItem
from dxflow_async.transfer.executor.coordinator import Coordinator, Placement
from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.seam import ShardExecutor
from dxflow_async.transfer.executor.shard import (
    Budget,
    ItemReceipt,
    ItemRecord,
    Shard,
    ShardPlace,
    ShardReceipt,
)
from dxflow_async.transfer.progress import Meter

__all__ = ["add_arguments", "run"]

_SIZE = 16 * KiB
_OPTIONS = ObjectOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--files", type=int, default=10_000, help="files of 16 KiB (%(default)s); 0 leaves them out")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4], help="numbers of processes")
    parser.add_argument("--delay", type=float, default=0.03, help="seconds before each answer of row b (%(default)s)")
    parser.add_argument("--rate", type=float, default=2e6, help="bytes a second of its connections (%(default)s)")
    parser.add_argument("--planned", type=int, nargs="*", default=[1_000_000], help="items of row c")


def run(options: argparse.Namespace) -> None:
    """Measure the rows and print them."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        if options.files:
            asyncio.run(_small(options, Path(name)))
            asyncio.run(_large(options, Path(name)))
    for count in options.planned:
        asyncio.run(_plan(count))


async def _small(options: argparse.Namespace, scratch: Path) -> None:
    source = make("many", f"{options.files:,} x 16 KiB", [_SIZE] * options.files, scratch / "source")
    with _server() as port:
        for processes in (None, *options.processes):
            async with AsyncSession(settings=_settings(port, scratch)) as session:
                storage = session.get_storage_manager().at("aws")
                await storage.upload(f"{source.directory}/000/", "/warm/up/", processes=processes)
                up = await storage.upload(f"{source.directory}/", "/up/x/", processes=processes)
                down = await storage.download("/small/data/", scratch / f"down-{processes}", processes=processes)
                shown = "this process" if processes is None else f"{processes} processes"
                print(f"a  {shown:14} up {len(up) / up.seconds:8.0f}/s  down {len(down) / down.seconds:8.0f}/s")


async def _large(options: argparse.Namespace, scratch: Path) -> None:
    first = 0.0
    with _server("--delay", str(options.delay), "--rate", str(options.rate)) as port:
        for processes in options.processes:
            settings = _settings(port, scratch, max_concurrency=8 * processes)
            async with AsyncSession(settings=settings) as session:
                storage = session.get_storage_manager().at("aws")
                await storage.download("/small/data/000/00000.bin", scratch / "warm-up", processes=processes)
                report = await storage.download("/big/data/", scratch / f"big-{processes}", processes=processes)
            first = first or report.goodput
            efficiency = report.goodput / first / (processes / options.processes[0])
            print(f"b  {processes} processes, 8 connections each: {report.goodput / 1e6:7.1f} MB/s, {efficiency:.2f}")


async def _plan(count: int) -> None:
    threads, meter = Threads(1), Meter()
    executor = _Idle()
    template = Shard(
        number=0,
        operation="copy",
        areas=(None, None),
        account=None,
        settings={},
        budget=Budget(1, None),
        channel="",
        same_machine=True,
    )
    placement = Placement(executor, lambda _: template, 512, None, 60.0)
    before, started = getrusage(RUSAGE_SELF).ru_maxrss, (time.monotonic(), time.process_time())
    report = await Coordinator(placement, None, threads).run(Engine(lambda: 1, meter), _items(count), meter)
    seconds, cpu = time.monotonic() - started[0], time.process_time() - started[1]
    grown = (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1024
    threads.close()
    shards = f"{executor.shards:,} shards of {executor.bytes / len(report):.0f} bytes an item"
    print(
        f"c  {len(report):,} items: {seconds:.1f} s, {cpu:.1f} CPU s, {shards}, {grown:.0f} MiB more memory", flush=True
    )


class _Idle(ShardExecutor):
    """Workers that report every item as done."""

    shards = 0
    bytes = 0
    workers = 4

    async def submit(self, shard: Shard) -> ShardReceipt:
        self.shards += 1
        sealed = await asyncio.to_thread(Sealed.of, shard)
        self.bytes += len(pickle.dumps(sealed))
        seconds = len(shard.items) / 2000  # it may grow up to the largest shard
        return ShardReceipt(seconds=seconds, latency=0.1, items=[ItemReceipt(_SIZE, 0.05)] * len(shard.items))


class _Item(TransferItem):
    """An item that only workers move."""

    __slots__ = ("_name",)

    size = _SIZE

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def ends(self) -> tuple[str, str]:
        return f"aws:/source/{self._name}", f"gcp:/destination/{self._name}"

    def record(self) -> ItemRecord:
        source, destination = self.ends
        places = ShardPlace(f"source/{self._name}", source), ShardPlace(f"destination/{self._name}", destination)
        return ItemRecord("copy", *places, Entry(f"source/{self._name}", _SIZE), _OPTIONS)

    async def open(self) -> Iterator[Part]:
        raise NotImplementedError

    async def move(self, part: Part) -> None:
        raise NotImplementedError

    async def finish(self) -> TransferResult:
        raise NotImplementedError

    async def abort(self) -> None:
        return None

    def result(self, error: StorageError | None) -> TransferResult:
        return TransferResult(*self.ends, error=error)


async def _items(count: int) -> AsyncIterator[TransferItem]:
    for number in range(count):
        yield _Item(f"{number // 1000:06}/{number:09}.bin")


def _settings(port: int, scratch: Path, **options: int) -> Settings:
    aws = AWSSettings(endpoint=f"http://127.0.0.1:{port}", region="us-east-1", access_key="a", secret_key="b")
    return Settings(home=scratch / "home", aws=aws, journal=False, durable=False, **options)  # type: ignore[arg-type]


@contextmanager
def _server(*arguments: str) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.cheap_s3", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()
