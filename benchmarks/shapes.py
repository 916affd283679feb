"""`python -m benchmarks shapes`: a long listing, requested in several places at once, at a server that answers late.

Three rates are compared for each shape of a key space: one page after the other, the library's own listing, and the
parsing of pages that are in memory already, which no client of one thread can exceed. Every key must be listed once, in
order.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple
from urllib.request import urlopen

import uvloop

from benchmarks.listing_server import SHAPES
from benchmarks.race import RaceError
from dxflow_async import AWSSettings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.aws.xml import ListParser
from dxflow_async.providers.http import HTTP
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.listing import pages
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["add_arguments", "run"]

_SAMPLE = 60
"""Pages that are listed one after the other, and that are parsed from memory."""

_TIMES, _SHARE = 8.0, 0.8
"""A listing is to reach so many times the rate of pages one after the other, or this share of the rate of parsing."""


class _Rates(NamedTuple):
    """Keys a second, and seconds of CPU that a key takes: of the library's own listing, and of parsing alone."""

    sequential: float
    ours: float
    parsed: float
    cpu: float
    parsed_cpu: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--count", type=int, default=2_000_000, metavar="N", help="keys of each shape (%(default)s)")
    parser.add_argument("--delay", type=float, default=0.04, metavar="SECONDS", help="of each answer (%(default)s)")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), help=", ".join(SHAPES))


def run(options: argparse.Namespace) -> None:
    """List each shape, print the table, and say what was missed."""
    print(
        "| shape | one page after the other | ours | times | parsed from memory | share | CPU a key | of it parsing |"
    )
    print("|---|---|---|---|---|---|---|---|")
    missed: list[str] = []
    for shape in options.shapes:
        with _server(shape, options.count, options.delay) as endpoint:
            rates = uvloop.run(_measure(endpoint, shape, options.count))
        times, share = rates.ours / rates.sequential, rates.ours / rates.parsed
        cells = f"{rates.sequential:,.0f} | {rates.ours:,.0f} | {times:.1f} | {rates.parsed:,.0f} | {share:.2f}"
        cpu = f"{1e6 * rates.cpu:.1f} µs | {rates.parsed_cpu / rates.cpu:.2f}"
        print(f"| {shape}, {options.count:,} keys | {cells} | {cpu} |", flush=True)
        if times < _TIMES and share < _SHARE:
            missed.append(f"missed: {shape}: {times:.1f} times, and {share:.2f} of the rate of parsing")
    print("\nKeys a second.", *missed, sep="\n")


@contextmanager
def _server(shape: str, count: int, delay: float) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.listing_server", "--count", str(count), "--delay", str(delay)]
    root = Path(__file__).parent.parent
    with subprocess.Popen([*command, "--shape", shape], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def _measure(endpoint: str, shape: str, count: int) -> _Rates:
    async with _provider(endpoint) as provider:
        began, number, cursor = perf_counter(), 0, None
        for _ in range(_SAMPLE):
            page = await provider.list_page(f"{shape}/", recursive=True, cursor=cursor)
            number, cursor = number + len(page.entries), page.cursor
            if cursor is None:
                break
        sequential = number / (perf_counter() - began)
        expected, number = [f"{shape}/{key}" for key in sorted(SHAPES[shape](count))], 0
        cpu, began = process_time(), perf_counter()
        listing = pages(provider, f"{shape}/", recursive=True, limits=Limits(256, 256 << 20), policy=RetryPolicy())
        async for found in listing:
            keys = [entry.key for entry in found]
            if keys != expected[number : number + len(keys)]:
                raise RaceError(f"{shape}: {keys[0]!r} to {keys[-1]!r} are not the keys from {expected[number]!r} on")
            number += len(keys)
        ours, cpu = count / (perf_counter() - began), (process_time() - cpu) / count
    if number != count:
        raise RaceError(f"{shape}: {number:,} of {count:,} keys were listed")
    parsed, parsed_cpu = await asyncio.to_thread(_parse, endpoint, shape)
    return _Rates(sequential, ours, parsed, cpu, parsed_cpu)


def _parse(endpoint: str, shape: str) -> tuple[float, float]:
    answers = []
    for number in range(_SAMPLE):
        with urlopen(f"{endpoint}/{shape}?list-type=2&continuation-token={number * 1000}") as answer:
            answers.append(answer.read())
    cpu, began, number = process_time(), perf_counter(), 0
    for answer in answers:
        parser = ListParser(shape, "")
        parser.feed(answer)
        parser.close()
        number += len(parser.entries)
    return number / (perf_counter() - began), (process_time() - cpu) / number


@asynccontextmanager
async def _provider(endpoint: str) -> AsyncIterator[AWSProvider]:
    threads = Threads(4)
    http = HTTP(threads)
    settings = AWSSettings(endpoint=endpoint, region="us-east-1", access_key="key", secret_key="secret")
    try:
        yield AWSProvider(settings, http, threads)
    finally:
        await http.aclose()
        threads.close()
