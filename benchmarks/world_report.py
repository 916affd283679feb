"""The table of `python -m benchmarks world`."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.contestants import NOT_DURABLE, OURS
from benchmarks.race import Run
from benchmarks.report import machine
from benchmarks.world_rows import TARGETS

__all__ = ["table"]

MiB = 1 << 20


def table(runs: Sequence[Run], titles: dict[str, str], rounds: int) -> str:
    """Returns the medians as Markdown, with ours as ratios to the best peer, and the targets that were missed."""
    names = [name for name in dict.fromkeys(run.contestant for run in runs) if name not in (OURS, NOT_DURABLE)]
    head = ("wall / CPU / peak RSS", "ours", "durable=False", "found", "best peer", "wall / best", "CPU / best", *names)
    lines = [
        f"| {' | '.join(head)} |",
        f"|{'---|' * (7 + len(names))}",
    ]
    missed: list[str] = []
    for row, title in titles.items():
        found = {
            name: [run for run in runs if (run.row, run.contestant) == (row, name)]
            for name in (OURS, NOT_DURABLE, *names)
        }
        wall = {name: median(run.wall for run in each) for name, each in found.items() if each}
        cpu = {name: median(run.cpu for run in each) for name, each in found.items() if each}
        peers = [name for name in names if name in wall]
        best = min(peers, key=wall.__getitem__, default=None)
        wall_ratio = wall[OURS] / wall[best] if best else None
        # Not every peer that is quick is also thrifty: its own CPU counts.
        cpu_ratio = cpu.get(NOT_DURABLE, cpu[OURS]) / cpu[best] if best else None
        concurrency = int(median(run.concurrency for run in found[OURS]))
        cells = [title, _cell(found[OURS]), _cell(found[NOT_DURABLE]), str(concurrency or ""), best or ""]
        cells += [_ratio(wall_ratio), _ratio(cpu_ratio), *(_cell(found[name]) for name in names)]
        lines.append(f"| {' | '.join(cells)} |")
        target = TARGETS.get(row)
        if target is not None and wall_ratio is not None and wall_ratio > target:
            missed.append(f"missed: {title}: {wall_ratio:.2f} x {best}, at most {target:.2f}")
        missed += _missed_share(row, title, titles, runs)
    about = ", ".join(f"{name} {value}" for name, value in machine().items())
    return "\n".join([*lines, "", f"Medians of {rounds} rounds on {about}.", *missed, ""])


def _missed_share(row: str, title: str, titles: dict[str, str], runs: Sequence[Run]) -> list[str]:
    """Compares a row of capped connections with its uncapped twin of the same run."""
    twin = row.replace("capped-", "open-")
    if not row.startswith("capped-") or twin not in titles:
        return []
    capped, open_ = (
        median(run.wall for run in runs if (run.row, run.contestant) == (each, OURS)) for each in (row, twin)
    )
    share = open_ / capped
    return [f"{'reached' if share >= 0.75 else 'missed'}: {title}: {share:.2f} of the uncapped rate, at least 0.75"]


def _cell(runs: Sequence[Run]) -> str:
    if not runs:
        return ""
    wall, cpu, rss = (median(getattr(run, name) for run in runs) for name in ("wall", "cpu", "rss"))
    return f"{wall:.2f} / {cpu:.2f} / {rss / MiB:.0f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
