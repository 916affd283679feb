"""One, two and four processes against one.

Rows: (a) files of 16 KiB, up and down, at a server of this machine that costs next to nothing; (b) an object of 1 GiB
down, behind a delay and at a limited rate on each connection; (c) planning so many items for workers that do nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from typing import Any

from benchmarks.clients.job import Place
from benchmarks.clients.job import TransferItem as Job
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
    parser.add_argument("--rows", nargs="+", choices=("a", "b", "c"), default=["a", "b", "c"], help="which rows")
    parser.add_argument("--files", type=int, default=20_000, help="files of 16 KiB of row a (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of row a (%(default)s)")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4], help="numbers of processes")
    parser.add_argument("--delay", type=float, default=0.03, help="seconds before each answer of row b (%(default)s)")
    parser.add_argument("--rate", type=float, default=4e6, help="bytes a second of its connections (%(default)s)")
    parser.add_argument("--planned", type=int, nargs="*", default=[1_000_000], help="items of row c")


def run(options: argparse.Namespace) -> None:
    """Measure the rows and print them."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        if "a" in options.rows:
            asyncio.run(_small(options, Path(name)))
        if "b" in options.rows:
            asyncio.run(_large(options, Path(name)))
    for count in options.planned if "c" in options.rows else ():
        asyncio.run(_plan(count))


async def _small(options: argparse.Namespace, scratch: Path) -> None:
    """Row a: contestants by turns, the medians of their seconds, and the ratios to this process and to obstore."""
    title = f"{options.files:,} x 16 KiB"
    source = make("many", title, [_SIZE] * options.files, scratch / "source")
    with _server("--count", str(options.files)) as port:
        sessions: dict[str, tuple[Any, int | None]] = {}
        async with AsyncExitStack() as opened:
            for processes in (None, *options.processes):
                session = await opened.enter_async_context(AsyncSession(settings=_settings(port, scratch)))
                storage = session.get_storage_manager().at("aws")
                await storage.upload(f"{source.directory}/000/", "/warm/up/", processes=processes)
                name = "this process" if processes is None else f"{processes} processes"
                sessions[name] = storage, processes
            seconds: dict[str, list[tuple[float, float]]] = {}
            for _ in range(options.rounds):
                for name, (storage, processes) in sessions.items():
                    up = await storage.upload(f"{source.directory}/", "/up/x/", processes=processes)
                    target = scratch / "down"
                    down = await storage.download("/small/data/", target, processes=processes)
                    assert len(up) == len(down) == options.files
                    shutil.rmtree(target)
                    seconds.setdefault(name, []).append((up.seconds, down.seconds))
                if find_spec("obstore") is not None:
                    each = [_obstore(port, source.directory, scratch / "down", way) for way in ("upload", "download")]
                    seconds.setdefault("obstore", []).append((each[0], each[1]))
    _print_small(title, seconds)


def _print_small(title: str, seconds: dict[str, list[tuple[float, float]]]) -> None:
    first = {way: median(each[way] for each in seconds["this process"]) for way in (0, 1)}
    peer = {way: median(each[way] for each in seconds["obstore"]) for way in (0, 1)} if "obstore" in seconds else {}
    for name, found in seconds.items():
        cells = []
        for way, direction in enumerate(("up", "down")):
            middle = median(each[way] for each in found)
            ratio = f", {middle / peer[way]:.2f} of obstore" if peer else ""
            cells.append(f"{direction} {middle:6.2f} s ({first[way] / middle:.2f} times this process{ratio})")
        print(f"a  {title}, {name:14} {', '.join(cells)}, {len(found)} rounds", flush=True)


def _obstore(port: int, source: Path, target: Path, operation: str) -> float:
    """Returns the seconds that obstore takes, without its start."""
    bucket, prefix = ("up", "y/") if operation == "upload" else ("small", "data/")
    endpoint = f"http://127.0.0.1:{port}"
    place = Place(
        provider="AWS",
        bucket=bucket,
        prefix=prefix,
        endpoint=endpoint,
        region="us-east-1",
        access_key="a",
        secret_key="b",
    )
    directory = source if operation == "upload" else target
    directory.mkdir(exist_ok=True)
    job = Job(operation=operation, directory=str(directory), place=place)
    command = [sys.executable, "-m", "benchmarks.clients.obstore", *job.arguments()]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if operation == "download":
        shutil.rmtree(target)
    return float(json.loads(found)["wall"])


async def _large(options: argparse.Namespace, scratch: Path) -> None:
    first = 0.0
    with _server("--delay", str(options.delay), "--rate", str(options.rate)) as port:
        for processes in options.processes:
            settings = _settings(port, scratch, max_concurrency=8 * processes)
            async with AsyncSession(settings=settings) as session:
                storage = session.get_storage_manager().at("aws")
                await storage.download("/small/data/000/00000.bin", scratch / "warm-up", processes=processes)
                before, machine = time.monotonic(), _machine_cpu()
                report = await storage.download("/big/data/", scratch / f"big-{processes}", processes=processes)
                busy = (_machine_cpu() - machine) / (time.monotonic() - before) / (os.cpu_count() or 1)
                shutil.rmtree(scratch / f"big-{processes}")
            first = first or report.goodput
            efficiency = report.goodput / first / (processes / options.processes[0])
            figures = f"{report.goodput / 1e6:7.1f} MB/s, {efficiency:.2f} efficient, processors {busy:.0%} busy"
            print(f"b  {processes} processes, 8 connections each: {figures}", flush=True)


def _machine_cpu() -> float:
    """Returns the seconds that the processors of this machine have worked at normal priority or above, and waited."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, _, system = (int(each) for each in fields[:3])
    return (user + system) / os.sysconf("SC_CLK_TCK")


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
    placement = Placement(executor, lambda _: template, 512, None, 60.0, None)
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
