"""Runs of contestants: each in a fresh process, on fresh ground, checked afterwards."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Contestant
from benchmarks.launch import launch
from benchmarks.rows import Row

__all__ = ["Heat", "Race", "RaceError", "Run"]

_ATTEMPTS = 3


class RaceError(RuntimeError):
    """A contestant failed or gave a wrong result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one contestant took for one row, once. Times are seconds, `rss` is bytes.

    Attributes:
        table: what the row is in.
        wall, cpu: of the job alone for a library, of the whole process for a program.
        process_wall, process_cpu: of the whole process.
        rss: the process's peak.
        server_cpu: what the servers took meanwhile.
        other_cpu: what anything else on the machine took meanwhile, the system's own work included.
        concurrency: how many requests ours allowed at once in the end; 0 if it does not say.
    """

    table: str
    row: str
    contestant: str
    wall: float
    cpu: float
    process_wall: float
    process_cpu: float
    rss: int
    server_cpu: float
    other_cpu: float
    concurrency: int = 0

    @property
    def disturbed(self) -> bool:
        """Whether others took more than 15 % of the machine."""
        return self.other_cpu > 0.15 * self.process_wall * (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Heat:
    """The rows of one table, and who races over them."""

    table: str
    contestants: Sequence[Contestant]
    rows: Sequence[Row]

    def racing(self, row: Row, absent: Collection[str] = ()) -> list[Contestant]:
        """Those that can do a row."""
        return [each for each in self.contestants if each.name not in (*row.without, *absent)]


class Race:
    """A race.

    Args:
        directory: for what contestants print.
        report: called after each run.
        patient: wait until the machine is quiet, and run again what was disturbed.
    """

    def __init__(self, directory: Path, report: Callable[[Run], None], *, patient: bool = True) -> None:
        self._directory = directory
        self._report = report
        self._patient = patient

    def warm_up(self, heats: Sequence[Heat]) -> None:
        """Runs that do not count: a server that has just been started takes memory from the system as it works."""
        for heat in heats:
            self._run(heat.racing(heat.rows[0])[-1], heat.table, heat.rows[0])

    def rounds(self, count: int, heats: Sequence[Heat], once: Collection[str] = ()) -> Iterator[Run]:
        """All runs; the order of the contestants rotates from row to row and from round to round.

        Args:
            count: of rounds.
            heats: what is run in each round.
            once: names of contestants that are in the first round only.

        Raises:
            RaceError: a contestant failed or gave a wrong result.
        """
        turn = 0
        for number in range(count):
            for heat in heats:
                for row in heat.rows:
                    contestants = heat.racing(row, once if number else ())
                    first = turn % max(len(contestants), 1)
                    for contestant in (*contestants[first:], *contestants[:first]):
                        run = self._run(contestant, heat.table, row)
                        self._report(run)
                        yield run
                    turn += 1
            turn += 1

    def _run(self, contestant: Contestant, table: str, row: Row) -> Run:
        """Run until others do not disturb it, three times at most; the least disturbed run counts."""
        runs: list[Run] = []
        try:
            while len(runs) < (_ATTEMPTS if self._patient else 1) and all(run.disturbed for run in runs):
                runs.append(self._measure(contestant, table, row))
        except (ValueError, OSError, subprocess.SubprocessError) as error:
            raise RaceError(f"{contestant.name}, {row.name} of {table}: {error}") from error
        return min(runs, key=lambda run: run.other_cpu / run.process_wall)

    def _measure(self, contestant: Contestant, table: str, row: Row) -> Run:
        def served() -> float:
            return sum(store.cpu() for store in row.stores)

        with row.ready(contestant) as ground:
            if self._patient:
                settle()
            machine, server = machine_cpu(), served()
            outcome = launch(contestant, ground.job, self._directory)
            machine, server = machine_cpu() - machine, served() - server
            ground.check(outcome)
        process, own = outcome.process, outcome.own
        return Run(
            table=table,
            row=row.name,
            contestant=contestant.name,
            wall=own.get("wall", process["wall"]),
            cpu=own.get("cpu", process["cpu"]),
            process_wall=process["wall"],
            process_cpu=process["cpu"],
            rss=process["rss"],
            server_cpu=server,
            other_cpu=max(machine - server - process["cpu"], 0.0),
            concurrency=int(own.get("concurrency", 0)),
        )


def settle(*, timeout: float = 20.0) -> None:
    """Wait until the servers have finished what they do behind a request, and the machine is quiet."""
    deadline = time.monotonic() + timeout
    busy = True
    while busy and time.monotonic() < deadline:
        before = machine_cpu()
        time.sleep(0.25)
        busy = machine_cpu() - before > 0.03


def machine_cpu() -> float:
    """CPU seconds this machine has worked so far, time stolen by its host included."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _, _, *interrupts_and_stolen = map(int, fields)
    return (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")
