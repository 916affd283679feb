"""`python -m benchmarks transfer`: ours against the peers."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.data import DATASETS, Dataset, make
from benchmarks.race import OPERATIONS, TRANSPORTS, Race, Run
from benchmarks.report import machine, show
from tests.servers import SeaweedFS

__all__ = ["add_arguments", "run", "scratch"]

GiB = 1 << 30
ROWS = [f"{dataset}-{direction}" for dataset in DATASETS for direction in OPERATIONS]
PEERS = [name for name in CONTESTANTS if name != OURS]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant in each row (%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the big file's size and of the others' count")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--once", nargs="+", choices=PEERS, default=[], metavar="PEER", help="in the first round only")
    parser.add_argument("--peers-only", action="store_true", help="leave ours out")
    parser.add_argument("--transports", nargs="+", choices=TRANSPORTS, default=TRANSPORTS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")


def run(options: argparse.Namespace) -> None:
    """Race, print the tables, write the JSON."""
    contestants = [CONTESTANTS[name] for name in (*([] if options.peers_only else [OURS]), *options.peers)]
    names = list(dict.fromkeys(row.partition("-")[0] for row in options.rows))
    with scratch(int(8 * GiB * options.scale) + GiB) as directory:
        datasets = [make(name, *DATASETS[name](options.scale), directory / "source") for name in names]
        runs = []
        with SeaweedFS.start(directory / "server", tls=True) as server:
            race = Race(server, directory, datasets, _progress)
            race.stock()
            race.warm_up(contestants[-1], options.transports, options.rows)
            for each in race.rounds(options.rounds, contestants, options.transports, options.rows, options.once):
                runs.append(each)
                _write(options, runs, _titles(datasets), directory)
    show(runs, _titles(datasets))


@contextmanager
def scratch(needed: int) -> Iterator[Path]:
    """Make a temporary directory with room for `needed` bytes, in memory when there is such a file system."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and shutil.disk_usage(memory).free >= needed else Path(tempfile.gettempdir())
    if shutil.disk_usage(parent).free < needed:
        raise SystemExit(f"{needed / GiB:.1f} GiB are needed in {parent}")
    with tempfile.TemporaryDirectory(dir=parent, prefix="benchmarks-") as directory:
        yield Path(directory)


def _progress(run: Run) -> None:
    others = f"others {run.other_cpu:.2f}{' (disturbed)' if run.disturbed else ''}"
    sys.stderr.write(
        f"{run.transport:5} {run.row:10} {run.contestant:12} {run.wall:7.2f} s {run.cpu:7.2f} s CPU "
        f"{run.rss / (1 << 20):6.0f} MiB  server CPU {run.server_cpu:6.2f} s, {others}\n"
    )


def _titles(datasets: list[Dataset]) -> dict[str, str]:
    return {f"{dataset.name}-{way}": f"{dataset.title} {way}" for dataset in datasets for way in OPERATIONS}


def _write(options: argparse.Namespace, runs: list[Run], titles: dict[str, str], directory: Path) -> None:
    if options.json is None:
        return
    content = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), "files on": "tmpfs" if directory.is_relative_to("/dev/shm") else "disk"},
        "versions": {name: CONTESTANTS[name].version for name in {run.contestant for run in runs}},
        "scale": options.scale,
        "rounds": options.rounds,
        "rows": titles,
        "runs": [dataclasses.asdict(each) for each in runs],
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n")
