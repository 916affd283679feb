"""`python -m benchmarks world`: the regimes of real networks. Ours against the peers at their best settings.

Small objects through a round trip and at a server that costs next to nothing, connections that are capped, sizes mixed
over a long distance, syncs, deletions and copies. All contestants of a row take turns in fresh processes, every result
is checked, and the table gives medians and ours as a ratio to the best peer. `--quick` tries all with little data.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contestants import NOT_DURABLE, OURS, at_best
from benchmarks.race import Heat, Race, Run
from benchmarks.report import machine
from benchmarks.world_report import table
from benchmarks.world_rows import GROUPS, ROWS, World

__all__ = ["add_arguments", "run"]

PEERS = [name for name in at_best() if name not in (OURS, NOT_DURABLE)]
QUICK = 0.01


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    choices = [*ROWS, *GROUPS]
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant in each row (%(default)s)")
    parser.add_argument(
        "--rows", nargs="+", choices=choices, default=list(ROWS), metavar="ROW", help=", ".join(choices)
    )
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, metavar="PEER", help="; ".join(PEERS))
    parser.add_argument("--quick", action="store_true", help="a hundredth of the data, once: only to see that it works")
    parser.add_argument(
        "--patient", action="store_true", help="wait for a quiet machine, and run again what is disturbed"
    )
    parser.add_argument("--server", choices=("nginx", "own"), help="the cheap server; by default nginx if it is there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")


def run(options: argparse.Namespace) -> None:
    """Race, print the table, write the JSON."""
    names = [row for name in options.rows for row in GROUPS.get(name, (name,))]
    rounds, scale = (1, QUICK) if options.quick else (options.rounds, 1.0)
    racing = [each for name, each in at_best().items() if name in (OURS, NOT_DURABLE, *options.peers)]
    runs: list[Run] = []
    with World.running(scale, options.server) as world:
        rows = [world.row(name) for name in dict.fromkeys(names)]
        titles = {row.name: row.title for row in rows}
        race = Race(world.directory, _progress, patient=options.patient)
        for each in race.rounds(rounds, [Heat("world", racing, rows)]):
            runs.append(each)
            if options.json is not None:
                _write(options.json, runs, titles, world.server)
    sys.stdout.write(table(runs, titles, rounds))


def _progress(run: Run) -> None:
    sys.stderr.write(
        f"{run.row:20} {run.contestant:28} {run.wall:7.2f} s {run.cpu:7.2f} s CPU {run.rss / (1 << 20):6.0f} MiB  "
        f"server CPU {run.server_cpu:6.2f} s, others {run.other_cpu:.2f}\n"
    )


def _write(file: Path, runs: Sequence[Run], titles: dict[str, str], server: str) -> None:
    content = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "cheap server": server,
        "rows": titles,
        "runs": [dataclasses.asdict(each) for each in runs],
    }
    file.write_text(json.dumps(content, indent=1) + "\n")
