"""`python -m benchmarks net`: the whole pipeline over each lane of the data plane, a bare aiohttp loop, and obstore.

The server costs next to nothing (`benchmarks.cheap_s3`), so that nearly all of the CPU is the client's. The contestants
take turns in fresh processes. A table shows medians, each contestant's CPU as a ratio to that of the bare loop, and
how much of the whole CPU the fast lane saves. `quick` is the fast lane without a journal and with `durable=False`.
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


def _client(name: str, module: str, **environment: str) -> Contestant:
    return Contestant(
        name,
        lambda: "",
        lambda job: [sys.executable, "-m", f"benchmarks.clients.{module}", *job.arguments()],
        environment=lambda _: environment,
    )


_FAST = _client("fast", "dxflow", DXFLOW_TRANSPORT="fast")
_AIOHTTP = _client("aiohttp", "dxflow", DXFLOW_TRANSPORT="aiohttp")
_BARE = _client("bare", "bare_aiohttp")
CONTESTANTS = (
    _FAST,
    _AIOHTTP,
    _client("quick", "dxflow", DXFLOW_TRANSPORT="fast", DXFLOW_JOURNAL="false", DXFLOW_DURABLE="false"),
    _BARE,
    _client("obstore", "obstore"),
)


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
    names = [contestant.name for contestant in CONTESTANTS]
    parser.add_argument("--contestants", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--hasty", action="store_true", help="do not wait for a quiet machine before each run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")


def run(options: argparse.Namespace) -> None:
    """Race, print the table, write the JSON."""
    contestants = [contestant for contestant in CONTESTANTS if contestant.name in options.contestants]
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
                    turn = number % len(contestants)
                    for contestant in (*contestants[turn:], *contestants[:turn]):
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
    """Wall and CPU seconds of each contestant and the ratio of its CPU to the bare loop's, as medians."""
    cells: dict[tuple[str, str], dict[str, list[_Run]]] = defaultdict(lambda: defaultdict(list))
    for each in runs:
        cells[each.scheme, each.row][each.contestant].append(each)
    names = [contestant.name for contestant in CONTESTANTS if any(each.contestant == contestant.name for each in runs)]
    lines = [
        f"| {' | '.join(['wall / CPU, s (CPU / bare)', *names, 'the fast lane saves'])} |",
        f"|{' --- |' * (len(names) + 2)}",
    ]
    for (scheme, row), found in cells.items():
        size, _, direction = row.partition("-")
        title = f"{datasets[size].title} {direction}, {'TLS' if scheme == 'https' else 'plain'}"
        shown = [_cell(found[name], found.get(_BARE.name, [])) for name in names]
        pairs = zip(found.get(_FAST.name, []), found.get(_AIOHTTP.name, []), strict=False)
        saved = [1 - fast.cpu / other.cpu for fast, other in pairs]
        lines.append(f"| {' | '.join([title, *shown, f'{median(saved):.0%} of the CPU' if saved else ''])} |")
    about = ", ".join(f"{name} {value}" for name, value in machine().items())
    return "\n".join([*lines, "", f"Medians of {len(runs) // len(cells) // len(names)} rounds on {about}.", ""])


def _cell(runs: list[_Run], bare: list[_Run]) -> str:
    text = f"{median(each.wall for each in runs):.2f} / {median(each.cpu for each in runs):.2f}"
    ratios = [each.cpu / other.cpu for each, other in zip(runs, bare, strict=False)]
    return f"{text} ({median(ratios):.2f})" if ratios else text
