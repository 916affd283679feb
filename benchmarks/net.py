"""`python -m benchmarks net`: the whole pipeline over each lane of the data plane, and a bare loop around aiohttp.

The server costs next to nothing (`benchmarks.cheap_s3`), so that nearly all of the CPU is the client's. The lanes take
turns in fresh processes; a table shows medians, and each lane's CPU as a ratio to that of the fast lane.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.cheap_s3 import BIG_SIZE, COUNT, SMALL_SIZE
from benchmarks.clients.job import Place, TransferItem
from benchmarks.competition import scratch
from benchmarks.contestants import Contestant
from benchmarks.data import Dataset, make
from benchmarks.launch import launch
from benchmarks.race import RaceError, settle
from benchmarks.report import machine
from tests.servers.certificate import make_certificate

__all__ = ["add_arguments", "run"]

GiB = 1 << 30
ROWS = ("small-up", "small-down", "big-up", "big-down")
SCHEMES = ("http", "https")


def _ours(lane: str) -> Contestant:
    return Contestant(
        f"ours, {lane}",
        lambda: "",
        lambda job: [sys.executable, "-m", "benchmarks.clients.dxflow", *job.arguments()],
        environment=lambda _: {"DXFLOW_TRANSPORT": lane},
    )


def _bare() -> Contestant:
    return Contestant(
        "bare aiohttp",
        lambda: "",
        lambda job: [sys.executable, "-m", "benchmarks.clients.bare_aiohttp", *job.arguments()],
    )


CONTESTANTS = (_ours("fast"), _ours("aiohttp"), _bare())


@dataclass(frozen=True, slots=True)
class _Run:
    scheme: str
    row: str
    contestant: str
    wall: float
    cpu: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contestant in each row (%(default)s)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=SCHEMES, help="plain and TLS")
    parser.add_argument("--hasty", action="store_true", help="do not wait for a quiet machine before each run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")


def run(options: argparse.Namespace) -> None:
    """Race, print the table, write the JSON."""
    with scratch(4 * GiB) as directory, ExitStack() as stack:
        datasets = {
            "small": make("small", f"{COUNT:,} x 16 KiB", [SMALL_SIZE] * COUNT, directory / "source"),
            "big": make("big", "1 x 1 GiB", [BIG_SIZE], directory / "source"),
        }
        places = {scheme: stack.enter_context(_serving(scheme, directory)) for scheme in options.schemes}
        runs: list[_Run] = []
        for number in range(options.rounds):
            for scheme in options.schemes:
                for row in options.rows:
                    turn = number % len(CONTESTANTS)
                    for contestant in (*CONTESTANTS[turn:], *CONTESTANTS[:turn]):
                        if not options.hasty:
                            settle()
                        runs.append(_measure(contestant, scheme, row, places[scheme], datasets, directory))
                        if options.json is not None:
                            options.json.write_text(json.dumps([_as_dict(each) for each in runs], indent=1) + "\n")
        sys.stdout.write(_table(runs, datasets))


@contextmanager
def _serving(scheme: str, directory: Path) -> Iterator[Place]:
    files: list[str] = []
    authority: Path | None = None
    if scheme == "https":
        (directory / "tls").mkdir()
        certificate, key, authority = make_certificate(directory / "tls")
        files = [str(certificate), str(key)]
    command = [sys.executable, "-m", "benchmarks.cheap_s3", *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            yield Place(
                provider="AWS",
                prefix="data/",
                endpoint=f"{scheme}://127.0.0.1:{port}",
                region="us-east-1",
                access_key="AKIDEXAMPLE",
                secret_key="secretsecret",
                ca_bundle=None if authority is None else str(authority),
            )
        finally:
            server.kill()


def _measure(
    contestant: Contestant, scheme: str, row: str, place: Place, datasets: dict[str, Dataset], directory: Path
) -> _Run:
    size, _, direction = row.partition("-")
    dataset, target = datasets[size], directory / "target"
    bucket = size if direction == "down" else "up"
    place = Place(**{**{name: getattr(place, name) for name in place.__slots__}, "bucket": bucket})
    if direction == "down":
        target.mkdir()
    source = target if direction == "down" else dataset.directory
    operation = "download" if direction == "down" else "upload"
    try:
        outcome = launch(contestant, TransferItem(operation=operation, directory=str(source), place=place), directory)
        if direction == "down":
            found = {path.relative_to(target).as_posix(): path.stat().st_size for path in target.rglob("*.bin")}
            dataset.check_sizes(found)
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        raise RaceError(f"{contestant.name}, {row} over {scheme}: {error}") from error
    finally:
        shutil.rmtree(target, ignore_errors=True)
    found_run = _Run(scheme, row, contestant.name, outcome.own["wall"], outcome.own["cpu"])
    sys.stderr.write(f"{scheme:5} {row:10} {contestant.name:14} {found_run.wall:6.2f} s {found_run.cpu:6.2f} s CPU\n")
    return found_run


def _as_dict(each: _Run) -> dict[str, object]:
    return {name: getattr(each, name) for name in each.__slots__}


def _table(runs: list[_Run], datasets: dict[str, Dataset]) -> str:
    """Wall and CPU seconds of each contestant, as medians, and how much CPU the fast lane saves of the whole."""
    cells: dict[tuple[str, str], dict[str, list[_Run]]] = defaultdict(lambda: defaultdict(list))
    for each in runs:
        cells[each.scheme, each.row][each.contestant].append(each)
    names = [contestant.name for contestant in CONTESTANTS]
    lines = [
        f"| {' | '.join(['wall / CPU, s', *names, 'the fast lane saves'])} |",
        f"|{' --- |' * (len(names) + 2)}",
    ]
    for (scheme, row), found in cells.items():
        size, _, direction = row.partition("-")
        title = f"{datasets[size].title} {direction}, {'TLS' if scheme == 'https' else 'plain'}"
        cpu = {name: median(each.cpu for each in found[name]) for name in names}
        wall = {name: median(each.wall for each in found[name]) for name in names}
        saved = median(1 - fast.cpu / other.cpu for fast, other in zip(found[names[0]], found[names[1]], strict=True))
        shown = [f"{wall[name]:.2f} / {cpu[name]:.2f}" for name in names]
        lines.append(f"| {' | '.join([title, *shown, f'{saved:.0%} of the CPU'])} |")
    about = ", ".join(f"{name} {value}" for name, value in machine().items())
    return "\n".join([*lines, "", f"Medians of {len(runs) // len(cells) // len(names)} rounds on {about}.", ""])
