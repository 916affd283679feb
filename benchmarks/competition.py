"""What the racing commands share: their options, the race itself, its tables and its JSON."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contestants import CONTESTANTS, OURS, Contestant
from benchmarks.race import Heat, Race, RaceError, Run
from benchmarks.report import machine, show

__all__ = ["add_race_arguments", "chosen", "compete", "contestants", "scratch"]

GiB = 1 << 30


def add_race_arguments(parser: argparse.ArgumentParser, rows: Sequence[str], peers: Sequence[str]) -> None:
    """Declare the options that every race has."""
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant in each row (%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="of a big file's size and of the others' count")
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows, metavar="ROW", help=", ".join(rows))
    parser.add_argument("--peers", nargs="+", choices=peers, default=peers, metavar="PEER", help=", ".join(peers))
    parser.add_argument("--once", nargs="+", choices=peers, default=[], metavar="PEER", help="in the first round only")
    parser.add_argument("--peers-only", action="store_true", help="leave ours out")
    parser.add_argument("--hasty", action="store_true", help="on a busy machine, too: only to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")


def contestants(options: argparse.Namespace, peers: Sequence[str]) -> list[Contestant]:
    """Ours, and those of these peers that were asked for."""
    names = [*([] if options.peers_only else [OURS]), *(name for name in options.peers if name in peers)]
    return [CONTESTANTS[name] for name in names]


def chosen(options: argparse.Namespace, heats: Sequence[Heat]) -> list[Heat]:
    """The heats with the rows that were asked for."""
    found = [
        Heat(heat.table, heat.contestants, [row for row in heat.rows if row.name in options.rows]) for heat in heats
    ]
    return [heat for heat in found if heat.rows]


def compete(options: argparse.Namespace, heats: Sequence[Heat], directory: Path) -> None:
    """Race, print the tables, write the JSON.

    Raises:
        RaceError: a contestant failed or gave a wrong result.
    """
    heats = chosen(options, heats)
    if not heats:
        raise RaceError("no row is left to race over")
    titles = {row.name: row.title for heat in heats for row in heat.rows}
    runs: list[Run] = []
    race = Race(directory, _progress, patient=not options.hasty)
    race.warm_up(heats)
    for each in race.rounds(options.rounds, heats, options.once):
        runs.append(each)
        if options.json is not None:
            _write(options, runs, titles, directory)
    show(runs, titles)


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
        f"{run.table:5} {run.row:10} {run.contestant:20} {run.wall:7.2f} s {run.cpu:7.2f} s CPU "
        f"{run.rss / (1 << 20):6.0f} MiB  server CPU {run.server_cpu:6.2f} s, {others}\n"
    )


def _write(options: argparse.Namespace, runs: list[Run], titles: dict[str, str], directory: Path) -> None:
    content = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), "files on": "tmpfs" if directory.is_relative_to("/dev/shm") else "disk"},
        "versions": {name: CONTESTANTS[name].find_version() for name in {run.contestant for run in runs}},
        "scale": options.scale,
        "rounds": options.rounds,
        "rows": titles,
        "runs": [dataclasses.asdict(each) for each in runs],
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n")
