"""`python -m benchmarks report`: what races gave: medians, ratios and ranks, as Markdown, or as a page."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.race import Run

__all__ = ["add_arguments", "machine", "run", "show", "summary", "targets"]

MiB = 1 << 20
_FOOTER = """\
Wall seconds / client CPU seconds / peak RSS in MiB, medians of {rounds} runs. Wall and CPU of a library ({libraries})
are of the job alone, after imports and one warm-up request; a program's are of its whole process. RSS is always the
whole process's. Client and server share the machine; server CPU is what the servers took for ours, and at the least for
a peer."""


@dataclass(frozen=True, slots=True)
class Target:
    """What ours is to reach in the wall time of a row.

    Attributes:
        limit: times that of `peer`, or of the best peer.
        peer: a contestant's name.
        rows: of these names only.
    """

    limit: float
    peer: str | None = None
    rows: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """What a table is of, and what ours is to reach in it.

    Attributes:
        title: of the table.
        targets: of wall times.
        cpu_peer: whose CPU ours is compared with; None: that of whoever is the fastest.
        max_cpu: of ours, times that.
        max_rss_rank: of ours, 1 being the lowest.
    """

    title: str
    targets: tuple[Target, ...] = (Target(1.0),)
    cpu_peer: str | None = None
    max_cpu: float | None = 1.0
    max_rss_rank: int | None = None


_UNIT_LARGE = ("big-up", "big-down")
# One request brings a whole file at any distance.
_UNIT_FAR = ("big-up", "small-up", "small-down")
TABLES = {
    "http": Table("S3 over plain HTTP", cpu_peer="obstore", max_rss_rank=2),
    "https": Table("S3 over TLS", (Target(1.15),), cpu_peer="obstore", max_rss_rank=2),
    "azure": Table("Azure (Azurite)"),
    "gcp": Table("Google Cloud (fake-gcs-server)"),
    "copy": Table("From provider to provider"),
    "sync": Table("Sync to S3"),
    "listing": Table("Listing of S3"),
    # 0.8 of what curl moves, and five times what the sequential client moves.
    "unit": Table("A unit on loopback", (Target(1 / 0.8, "curl", _UNIT_LARGE), Target(1.0, "tuspy")), max_cpu=None),
    "40ms": Table("A unit at 40 ms of round trip", (Target(1 / 5, "sequential PATCHes", _UNIT_FAR),), max_cpu=None),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="what a race's `--json` wrote, also while it still runs"
    )
    parser.add_argument("--html", type=Path, metavar="PAGE", help="draw the tables as a page there, instead")


def run(options: argparse.Namespace) -> None:
    """Print the tables of races that were written to files, or draw them."""
    from benchmarks import report_page, world_report  # the latter uses this module

    races = [(file.name, json.loads(file.read_text())) for file in options.files]
    if options.html is not None:
        titles = {name: table.title for name, table in TABLES.items()}
        options.html.write_text(report_page.race_page(races, titles), "utf-8")
        return
    for _, content in races:
        runs, titles = [Run(**each) for each in content["runs"]], content["rows"]
        if all(each.table in TABLES for each in runs):
            show(runs, titles)
        else:
            rounds = max(Counter((each.row, each.contestant) for each in runs).values(), default=0)
            sys.stdout.write(world_report.table(runs, titles, rounds))


def show(runs: Sequence[Run], titles: dict[str, str]) -> None:
    """Print the tables, and what ours misses."""
    sys.stdout.write(summary(runs, titles) + "\n")
    for line in targets(runs):
        sys.stdout.write(f"missed: {line}\n")


class _Row:
    """One row of a table: what each contestant took, by name."""

    def __init__(self, table: Table, runs: Sequence[Run]) -> None:
        self.names = list(dict.fromkeys(run.contestant for run in runs))
        self.wall = {name: median(run.wall for run in runs if run.contestant == name) for name in self.names}
        self.cpu = {name: median(run.cpu for run in runs if run.contestant == name) for name in self.names}
        self.rss = {name: median(run.rss for run in runs if run.contestant == name) for name in self.names}
        self.server = {name: median(run.server_cpu for run in runs if run.contestant == name) for name in self.names}
        self._peers = [name for name in self.names if name != OURS]
        self._cpu_peer = table.cpu_peer or min(self._peers, key=self.wall.__getitem__, default=None)

    def cell(self, name: str) -> str:
        if name not in self.wall:
            return ""
        return f"{self.wall[name]:.2f} / {self.cpu[name]:.2f} / {self.rss[name] / MiB:.0f}"

    def wall_ratio(self, peer: str | None = None) -> float | None:
        """Ours to a peer's, or to the best peer's."""
        peers = [self.wall[name] for name in self._peers if peer in (None, name)]
        return self.wall[OURS] / min(peers) if OURS in self.wall and peers else None

    @property
    def cpu_ratio(self) -> float | None:
        """Ours to that of the peer it is compared with."""
        peer = self._cpu_peer
        return self.cpu[OURS] / self.cpu[peer] if peer in self.cpu and OURS in self.cpu else None

    @property
    def rss_rank(self) -> int | None:
        """Ours, 1 being the lowest."""
        return sorted(self.rss, key=self.rss.__getitem__).index(OURS) + 1 if OURS in self.rss else None

    @property
    def server_cpu(self) -> str:
        """What the servers took for ours, and at the least for a peer."""
        ours = f"{self.server[OURS]:.2f}" if OURS in self.server else "-"
        return f"{ours} / {min((self.server[name] for name in self._peers), default=0.0):.2f}"


def summary(runs: Sequence[Run], titles: dict[str, str]) -> str:
    """The tables. `titles` name the rows."""
    lines: list[str] = []
    for name, rows in _tables(runs):
        table = TABLES[name]
        names = list(dict.fromkeys(each for figures in rows.values() for each in figures.names))
        # The rotation starts with another one in each row.
        names.sort(key=list(CONTESTANTS).index)
        ratios = ("wall / best peer", f"CPU / {table.cpu_peer or 'best peer'}", "RSS rank", "server CPU")
        lines += _line(table.title, *names, *ratios)
        lines += _line(*["---"] * (len(names) + 5))
        for row, figures in rows.items():
            found = (_ratio(figures.wall_ratio()), _ratio(figures.cpu_ratio), str(figures.rss_rank or ""))
            lines += _line(titles[row], *map(figures.cell, names), *found, figures.server_cpu)
        lines.append("")
    counts = Counter((*_key(run), run.contestant) for run in runs).values()
    rounds = " to ".join(dict.fromkeys((str(min(counts)), str(max(counts)))))
    racing = {run.contestant for run in runs}
    libraries = ", ".join(name for name, each in CONTESTANTS.items() if name in racing and each.library)
    return "\n".join([*lines, _FOOTER.format(rounds=rounds, libraries=libraries)])


def targets(runs: Sequence[Run]) -> list[str]:
    """How ours stands to what it is to reach; a line for each row that misses one."""
    missed = []
    for name, rows in _tables(runs):
        table = TABLES[name]
        for row, figures in rows.items():
            where = f"{row} of {table.title}"
            for target in table.targets:
                ratio = figures.wall_ratio(target.peer) if not target.rows or row in target.rows else None
                if ratio is not None and ratio > target.limit:
                    peer = target.peer or "the best peer"
                    missed.append(f"{where}: wall {ratio:.2f} x {peer}, at most {target.limit:.2f}")
            if figures.cpu_ratio is not None and table.max_cpu is not None and figures.cpu_ratio > table.max_cpu:
                peer = table.cpu_peer or "the best peer"
                missed.append(f"{where}: CPU {figures.cpu_ratio:.2f} x {peer}, at most {table.max_cpu:.2f}")
            if table.max_rss_rank is not None and (figures.rss_rank or 0) > table.max_rss_rank:
                missed.append(f"{where}: RSS rank {figures.rss_rank}, at most {table.max_rss_rank}")
    return missed


def machine() -> dict[str, str | int]:
    """What it ran on."""
    return {"system": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count() or 0}


def _tables(runs: Sequence[Run]) -> Iterator[tuple[str, dict[str, _Row]]]:
    for name in dict.fromkeys(run.table for run in runs):
        keys = dict.fromkeys(run.row for run in runs if run.table == name)
        yield name, {key: _Row(TABLES[name], [run for run in runs if _key(run) == (name, key)]) for key in keys}


def _key(run: Run) -> tuple[str, str]:
    return run.table, run.row


def _line(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
