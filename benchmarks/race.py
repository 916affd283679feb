"""Runs of contestants on one server: each in a fresh process, on fresh ground, checked afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients.job import Job
from benchmarks.contestants import Contestant, clean_environment
from benchmarks.data import Dataset
from tests.servers import SeaweedFS

__all__ = ["OPERATIONS", "PREFIX", "TRANSPORTS", "Race", "RaceError", "Run", "launch", "listing", "new_job"]

OPERATIONS = {"up": "upload", "down": "download"}
TRANSPORTS = ("http", "https")
PREFIX = "data/"
_ATTEMPTS = 3
_LAUNCHER = Path(__file__).with_name("launcher.py")


class RaceError(RuntimeError):
    """A contestant failed or gave a wrong result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one contestant took for one row, once. Times are seconds, `rss` is bytes.

    Attributes:
        row: `DATASET-up` or `DATASET-down`.
        wall, cpu: of the job alone for a library, of the whole process for a program.
        process_wall, process_cpu: of the whole process.
        rss: the process's peak.
        server_cpu: what the server took meanwhile.
        other_cpu: what anything else on the machine took meanwhile, the system's own work included.
    """

    transport: str
    row: str
    contestant: str
    wall: float
    cpu: float
    process_wall: float
    process_cpu: float
    rss: int
    server_cpu: float
    other_cpu: float

    @property
    def disturbed(self) -> bool:
        """Whether others took more than 15 % of the machine."""
        return self.other_cpu > 0.15 * self.process_wall * (os.cpu_count() or 1)


class Race:
    """A race on one server.

    Args:
        server: serves plain HTTP and TLS.
        directory: for what contestants download.
        datasets: to race with; they are put on the server for the downloads.
        report: called after each run.
    """

    def __init__(
        self, server: SeaweedFS, directory: Path, datasets: Sequence[Dataset], report: Callable[[Run], None]
    ) -> None:
        self._server = server
        self._directory = directory
        self._datasets = {dataset.name: dataset for dataset in datasets}
        self._report = report
        self._count = 0

    def stock(self) -> None:
        """Put what is to be downloaded on the server."""
        for dataset in self._datasets.values():
            self._server.create_bucket(f"source-{dataset.name}")
            _upload(self._server, dataset, f"source-{dataset.name}")

    def warm_up(self, contestant: Contestant, transports: Sequence[str], rows: Sequence[str]) -> None:
        """Runs that do not count: a server that has just been started takes memory from the system as it works."""
        for transport in transports:
            self._run(contestant, transport, rows[0])

    def rounds(
        self,
        count: int,
        contestants: Sequence[Contestant],
        transports: Sequence[str],
        rows: Sequence[str],
        once: Collection[str] = (),
    ) -> Iterator[Run]:
        """All runs; the order of the contestants rotates from row to row and from round to round.

        Args:
            count: of rounds.
            contestants, transports, rows: what is run in each round.
            once: names of contestants that are in the first round only.

        Raises:
            RaceError: a contestant failed or gave a wrong result.
        """
        turn = 0
        for number in range(count):
            if number:
                contestants = [each for each in contestants if each.name not in once]
            for transport in transports:
                for row in rows:
                    first = turn % len(contestants)
                    for contestant in (*contestants[first:], *contestants[:first]):
                        run = self._run(contestant, transport, row)
                        self._report(run)
                        yield run
                    turn += 1
            turn += 1

    def _run(self, contestant: Contestant, transport: str, row: str) -> Run:
        """Run until others do not disturb it, three times at most; the least disturbed run counts."""
        name, _, direction = row.partition("-")
        race = self._upload if direction == "up" else self._download
        runs: list[Run] = []
        try:
            while len(runs) < _ATTEMPTS and all(run.disturbed for run in runs):
                runs.append(race(contestant, transport, self._datasets[name]))
        except (ValueError, subprocess.SubprocessError) as error:
            raise RaceError(f"{contestant.name}, {row} over {transport}: {error}") from error
        return min(runs, key=lambda run: run.other_cpu / run.process_wall)

    def _upload(self, contestant: Contestant, transport: str, dataset: Dataset) -> Run:
        self._count += 1
        bucket = self._server.create_bucket(f"upload-{self._count}")
        # The server makes a bucket's volumes when its first object arrives.
        self._server.client.put_object(Bucket=bucket, Key="first", Body=b"first")
        try:
            job = new_job(self._server, "upload", dataset.directory, bucket, transport)
            run = self._measure(contestant, job, transport, f"{dataset.name}-up")
            dataset.check_sizes(listing(self._server, bucket))
        finally:
            self._server.delete_bucket(bucket)
        return run

    def _download(self, contestant: Contestant, transport: str, dataset: Dataset) -> Run:
        target = self._directory / "downloaded"
        target.mkdir()
        try:
            job = new_job(self._server, "download", target, f"source-{dataset.name}", transport)
            run = self._measure(contestant, job, transport, f"{dataset.name}-down")
            dataset.check(target)
        finally:
            shutil.rmtree(target)
        return run

    def _measure(self, contestant: Contestant, job: Job, transport: str, row: str) -> Run:
        settle()
        machine, served = machine_cpu(), server_cpu(self._server)
        process, own = launch(contestant, job, self._directory)
        machine, served = machine_cpu() - machine, server_cpu(self._server) - served
        return Run(
            transport=transport,
            row=row,
            contestant=contestant.name,
            wall=own.get("wall", process["wall"]),
            cpu=own.get("cpu", process["cpu"]),
            process_wall=process["wall"],
            process_cpu=process["cpu"],
            rss=process["rss"],
            server_cpu=served,
            other_cpu=max(machine - served - process["cpu"], 0.0),
        )


def new_job(server: SeaweedFS, operation: str, directory: Path, bucket: str, transport: str = "http") -> Job:
    """A job against this server."""
    secure = transport == "https"
    return Job(
        operation=operation,
        directory=str(directory),
        bucket=bucket,
        prefix=PREFIX,
        endpoint=server.endpoint if secure else server.http_endpoint,
        region=server.region,
        access_key=server.access_key,
        secret_key=server.secret_key,
        ca_bundle=str(server.ca_bundle) if secure else None,
    )


def launch(
    contestant: Contestant, job: Job, directory: Path, *, timeout: float = 900.0
) -> tuple[dict[str, Any], dict[str, float]]:
    """Run a contestant.

    Returns:
        What its process took, and what it says itself that the job took: nothing for a program.

    Raises:
        ValueError: it failed; with the tail of its output.
        subprocess.TimeoutExpired: it was killed after `timeout` seconds.
    """
    figures = directory / "figures.json"
    figures.unlink(missing_ok=True)
    command = [sys.executable, "-I", "-S", str(_LAUNCHER), str(figures), *contestant.command(job)]
    with subprocess.Popen(
        command,
        env={**clean_environment(), **contestant.environment(job)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            output, errors = child.communicate(timeout=timeout)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    process = json.loads(figures.read_text())
    if process["status"]:
        raise ValueError(f"status {process['status']}: {(output + errors)[-2000:]}")
    return process, json.loads(output.splitlines()[-1]) if contestant.library else {}


def settle(*, timeout: float = 20.0) -> None:
    """Wait until the server has finished what it does behind a request, and the machine is quiet."""
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


def server_cpu(server: SeaweedFS) -> float:
    """CPU seconds the server has taken so far."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def listing(server: SeaweedFS, bucket: str) -> dict[str, int]:
    """Bytes of what was uploaded, by its path below the prefix."""
    pages = server.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    return {item["Key"].removeprefix(PREFIX): item["Size"] for page in pages for item in page.get("Contents", [])}


def _upload(server: SeaweedFS, dataset: Dataset, bucket: str) -> None:
    from s3transfer.manager import TransferConfig, TransferManager

    options = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20)
    with TransferManager(server.client, options) as manager:
        for name in dataset.sizes:
            manager.upload(str(dataset.directory / name), bucket, PREFIX + name)
    dataset.check_sizes(listing(server, bucket))
