"""`python -m benchmarks report`: what a race gave: medians, ratios and ranks, as Markdown."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.contestants import OURS
from benchmarks.race import Run

__all__ = ["add_arguments", "machine", "run", "show", "summary", "targets"]

MiB = 1 << 20
_TRANSPORTS = {"http": "Plain HTTP", "https": "TLS"}
_FOOTER = """\
Wall seconds / client CPU seconds / peak RSS in MiB, medians of {rounds} runs. Wall and CPU of a library
(dxflow-async, obstore, boto3, aioboto3) are of the job alone, after imports and one warm-up request; a program's
(s5cmd, rclone) are of its whole process. RSS is always the whole process's. Client and server share the machine."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("file", type=Path, help="what `transfer --json` wrote, also while it still runs")


def run(options: argparse.Namespace) -> None:
    """Print the tables of a race that was written to a file."""
    content = json.loads(options.file.read_text())
    show([Run(**each) for each in content["runs"]], content["rows"])


def show(runs: Sequence[Run], titles: dict[str, str]) -> None:
    """Print the tables, and what ours misses."""
    sys.stdout.write(summary(runs, titles) + "\n")
    for line in targets(runs):
        sys.stdout.write(f"missed: {line}\n")


class _Row:
    """One row of a table: what each contestant took, by name."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.names = list(dict.fromkeys(run.contestant for run in runs))
        self.wall = {name: median(run.wall for run in runs if run.contestant == name) for name in self.names}
        self.cpu = {name: median(run.cpu for run in runs if run.contestant == name) for name in self.names}
        self.rss = {name: median(run.rss for run in runs if run.contestant == name) for name in self.names}

    def cell(self, name: str) -> str:
        if name not in self.wall:
            return ""
        return f"{self.wall[name]:.2f} / {self.cpu[name]:.2f} / {self.rss[name] / MiB:.0f}"

    @property
    def wall_ratio(self) -> float | None:
        """Ours to the best peer."""
        peers = [value for name, value in self.wall.items() if name != OURS]
        return self.wall[OURS] / min(peers) if OURS in self.wall and peers else None

    @property
    def cpu_ratio(self) -> float | None:
        """Ours to obstore's."""
        return self.cpu[OURS] / self.cpu["obstore"] if {OURS, "obstore"} <= self.cpu.keys() else None

    @property
    def rss_rank(self) -> int | None:
        """Ours, 1 being the lowest."""
        return sorted(self.rss, key=self.rss.__getitem__).index(OURS) + 1 if OURS in self.rss else None


def summary(runs: Sequence[Run], titles: dict[str, str]) -> str:
    """A table per transport. `titles` name the rows."""
    names = list(dict.fromkeys(run.contestant for run in runs))
    lines: list[str] = []
    for transport, rows in _tables(runs):
        lines += [f"{_TRANSPORTS[transport]}:", ""]
        lines += _line("", *names, "wall / best peer", "CPU / obstore", "RSS rank")
        lines += _line(*["---"] * (len(names) + 4))
        for row, figures in rows.items():
            ratios = (_ratio(figures.wall_ratio), _ratio(figures.cpu_ratio), str(figures.rss_rank or ""))
            lines += _line(titles[row], *map(figures.cell, names), *ratios)
        lines.append("")
    counts = Counter((*_key(run), run.contestant) for run in runs).values()
    rounds = " to ".join(dict.fromkeys((str(min(counts)), str(max(counts)))))
    return "\n".join([*lines, _FOOTER.format(rounds=rounds)])


def targets(runs: Sequence[Run]) -> list[str]:
    """How ours stands to what it is to reach; a line for each row that misses one."""
    limits = {"http": 1.0, "https": 1.15}
    missed = []
    for transport, rows in _tables(runs):
        for row, figures in rows.items():
            where = f"{row} over {transport}"
            if figures.wall_ratio is not None and figures.wall_ratio > limits[transport]:
                missed.append(f"{where}: wall {figures.wall_ratio:.2f} x the best peer, at most {limits[transport]}")
            if figures.cpu_ratio is not None and figures.cpu_ratio > 1:
                missed.append(f"{where}: CPU {figures.cpu_ratio:.2f} x obstore's, at most 1.0")
            if figures.rss_rank is not None and figures.rss_rank > 2:
                missed.append(f"{where}: RSS rank {figures.rss_rank}, at most 2")
    return missed


def machine() -> dict[str, str | int]:
    """What it ran on."""
    return {"system": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count() or 0}


def _tables(runs: Sequence[Run]) -> Iterator[tuple[str, dict[str, _Row]]]:
    for transport in dict.fromkeys(run.transport for run in runs):
        keys = dict.fromkeys(run.row for run in runs if run.transport == transport)
        yield transport, {key: _Row([run for run in runs if _key(run) == (transport, key)]) for key in keys}


def _key(run: Run) -> tuple[str, str]:
    return run.transport, run.row


def _line(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
