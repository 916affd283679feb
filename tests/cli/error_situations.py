"""Situations in which a command fails, as users cause them. `error_texts.py` runs them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dxflow_async.cli import main
from tests.scripted_server import Answer, answer

__all__ = ["SITUATIONS", "Situation"]


@dataclass(frozen=True)
class Situation:
    """A command line that fails.

    Attributes:
        name: what the user did, or met.
        line: the arguments. JOB stands for the one job that is there.
        prepare: called before, in the working directory, with `DXFLOW_HOME`.
        variables: environment variables.
        answer: the answer of the scripted server to every request.
        journal: whether jobs are recorded, so that the text names one.
        stdin: standard input.
    """

    name: str
    line: str
    prepare: Callable[[Path], object] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    answer: Answer | None = None
    journal: bool = False
    stdin: str = ""


def _refusal(status: str, code: str, message: str, **headers: str) -> bytes:
    """An error of S3."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
    return answer(status, body.encode(), Content_Type="application/xml", x_amz_request_id="4442587FB7D0A2F9", **headers)


_LISTING = answer(
    body=b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult><Name>b</Name><Prefix></Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>
<Contents><Key>../../etc/passwd</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"e"</ETag><Size>1</Size></Contents>
<Contents><Key>run//one.csv</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"e"</ETag><Size>1</Size></Contents>
</ListBucketResult>""",
    Content_Type="application/xml",
)

_PORTAL = answer(body=b"<html><body>Please sign in to the guest network</body></html>", Content_Type="text/html")


def _configure(text: str) -> Callable[[Path], object]:
    """Replaces the configuration file."""
    return lambda home: (home / "config.toml").write_text(text)


def _unreadable(name: str) -> Callable[[Path], object]:
    return lambda _: Path(name).chmod(0)


def _read_only(_: Path) -> None:
    Path("empty").chmod(0o555)


def _directory_in_the_way(_: Path) -> None:
    Path("there/one.csv/inner").mkdir(parents=True)


def _failed_job(home: Path) -> None:
    """A job of which an item failed."""
    _directory_in_the_way(home)
    with open(os.devnull, "w", encoding="utf-8") as null:
        import contextlib

        with contextlib.redirect_stderr(null), contextlib.redirect_stdout(null):
            assert main(["cp", "data/", "there/"]) == 1


def _damaged_job(home: Path) -> None:
    _failed_job(home)
    (path,) = (home / "jobs").glob("*.sqlite3")
    data = bytearray(path.read_bytes())
    data[4096:8192] = bytes(4096)
    path.write_bytes(data)


_COMMAND_LINE = (
    Situation("an option that is nearly one", "cp data/ there/ --exlude '*.csv'"),
    Situation("an option that is none", "ls . --wobble"),
    Situation("an option of the wrong command", "cat note.txt --exclude '*.csv'"),
    Situation("an option without its value", "cp data/ there/ --exclude"),
    Situation("a command that is nearly one", "lss ."),
    Situation("a command that is none", "frobnicate ."),
    Situation("a subcommand that is nearly one", "jobs lst"),
    Situation("no place at all", "cp"),
    Situation("no destination", "cp data/"),
    Situation("no place to follow", "tail"),
    Situation("one directory to sync", "sync data/"),
    Situation("three directories to sync", "sync data/ there/ empty/"),
    Situation("a command of another tool", "mb s3://new-bucket"),
    Situation("the version as a command", "version"),
    Situation("an option of another tool", "sync data/ there/ --dryrun"),
    Situation("a letter of the shell's ls", "ls -la ."),
    Situation("letters of rsync", "sync -avz data/ there/"),
    Situation("a letter of the shell's du", "du -sh ."),
    Situation("a number of lines", "tail -5 note.txt"),
    Situation("one column", "ls -1 ."),
    Situation("the help of a command by its letter, among others", "cp data/ -h there/"),
    Situation("deletions of a copy", "cp data/ there/ --delete"),
    Situation("several sources and one name", "cp data/one.csv data/two.csv new-name"),
    Situation("options that exclude each other", "cp data/ there/ --update --no-overwrite"),
    Situation("direct and an account", "ls . --direct --email me@example.com"),
    Situation("an e-mail and no password", "ls aws:/ --email me@example.com"),
    Situation("a size that is none", "cp data/ there/ --part-size much"),
    Situation("a size below the least", "cp data/ there/ --part-size 1"),
    Situation("a bandwidth that is none", "cp data/ there/ --bandwidth fast"),
    Situation("a number that is none", "cp data/ there/ --concurrency many"),
    Situation("a size filter that is none", "ls . --larger big"),
    Situation("an age that is none", "ls . --newer yesterday"),
    Situation("a duration that is none", "presign lab:/laboratory/run/one.csv --expires soon"),
    Situation("a choice that is none", "sync data/ there/ --compare time"),
    Situation("metadata without a value", "cp note.txt lab:/laboratory/ --meta team"),
    Situation("a profile for two remotes", "cp lab:/laboratory/run/ refused:/bucket/ --profile me"),
    Situation("a profile that is none", "ls aws:/bucket/ --profile nobody"),
    Situation("an endpoint and no S3 remote", "ls . --endpoint https://minio.example.org"),
)

_SETTINGS = (
    Situation("a remote that is nearly one", "ls labb:/laboratory/"),
    Situation("a scheme that is none", "ls ftp://host/directory/"),
    Situation("a place as scp writes it", "cp note.txt me@host:/directory/"),
    Situation("a place as rclone writes it", "cp note.txt s3:laboratory/"),
    Situation("a URL without a slash", "ls sftp:/host/directory/"),
    Situation("no unit at all", "ls unit:"),
    Situation("an S3 location without a bucket", "cp note.txt s3:///"),
    Situation("a setting that is nearly one", "config set part_sise 8MiB"),
    Situation("a setting with a wrong value", "config set part_size much"),
    Situation("a setting that is not set", "config unset part_size"),
    Situation("a variable with a wrong value", "du .", variables={"DXFLOW_PART_SIZE": "much"}),
    Situation("a configuration that is not TOML", "cp data/ there/", _configure("part_size = \n")),
    Situation("a configuration with an unknown key", "cp data/ there/", _configure('part_sise = "8MiB"\n')),
    Situation("a configuration with a wrong value", "cp data/ there/", _configure('part_size = "much"\n')),
    Situation("a configuration that cannot be read", "cp data/ there/", lambda home: (home / "config.toml").chmod(0)),
    Situation("a configuration that others may read", "ls nothing", lambda home: (home / "config.toml").chmod(0o644)),
    Situation("a remote of an unknown type", "cp data/ there/", _configure('[remotes.attic]\ntype = "s4"\n')),
    Situation("a remote to remove that is not there", "remotes remove attic"),
    Situation("a remote to add that is there", "remotes add lab --type s3"),
    Situation("a remote to test that refuses", "remotes test wrong-secret"),
)

_FILES = (
    Situation("a source that is not there", "cp nothing.csv there/"),
    Situation("one of two sources is not there", "cp data/one.csv nothing.csv there/"),
    Situation("a pattern that matches nothing", "cp 'data/*.parquet' there/"),
    Situation("a pattern that is not closed", "ls 'data/[ab'"),
    Situation("a destination inside the source", "cp data/ data/copy/"),
    Situation("a file onto itself", "cp note.txt ./note.txt"),
    Situation("a file where a directory is needed", "cp data/ note.txt/"),
    Situation("a directory in the way of a file", "cp data/ there/", _directory_in_the_way),
    Situation("a file that cannot be read", "cp note.txt there/", _unreadable("note.txt")),
    Situation("a directory that cannot be read", "cp data/ there/", _unreadable("data/sub")),
    Situation("a directory that cannot be written", "cp note.txt empty/", _read_only),
    Situation("a full device", "cp lab:/laboratory/run/one.csv /dev/full"),
    Situation("a list of names that is not there", "cp data/ there/ --files-from names.txt"),
    Situation("a directory to print", "cat data"),
    Situation("a file and a directory to print", "cat note.txt data"),
    Situation("a file and a directory to print, in JSON", "cat note.txt data nothing --json"),
    Situation("files that are not there", "cp nothing.csv none.csv no.csv nil.csv there/", journal=True),
    Situation("a file with a slash", "cp note.txt/ there/"),
    Situation("a file to sync", "sync note.txt there/"),
    Situation("a file to check", "check note.txt data/"),
    Situation("a selection of nothing", "cp data/ there/ --include '*.parquet' --larger 1GiB"),
    Situation("a selection of nothing to delete", "rm -r data/ --include '*.parquet'"),
    Situation("a directory to delete without -r", "rm data"),
    Situation("nothing to delete", "rm nothing.csv"),
    Situation("no directory to delete", "rm -r nothing/"),
    Situation("a directory to sync that is not there", "sync nothing/ there/ --delete"),
    Situation("a local file to presign", "presign note.txt"),
    Situation("a directory to list that is not there", "ls nothing/"),
)

_OBJECTS = (
    Situation("no such bucket to list", "ls lab:/no-such-bucket/"),
    Situation("no such bucket to copy to", "cp note.txt lab:/no-such-bucket/"),
    Situation(
        "no such bucket for several files",
        "cp data/one.csv data/two.csv note.txt data/sub/three.csv lab:/no-such-bucket/",
    ),
    Situation("a file onto a bucket", "cp note.txt lab:/laboratory"),
    Situation("a file to no bucket", "mv note.txt lab:/"),
    Situation("a bucket without its slash", "cp note.txt lab:laboratory/"),
    Situation("an object to sync", "sync lab:/laboratory/run/one.csv there/"),
    Situation("a bucket to delete without a slash", "rm -r lab:/laboratory"),
    Situation("all buckets to delete", "rm -r lab:/"),
    Situation("no such object to print", "cat lab:/laboratory/nothing.csv"),
    Situation("no such object to copy", "cp lab:/laboratory/nothing.csv there/"),
    Situation("no such object, in JSON", "stat lab:/laboratory/nothing.csv --json"),
    Situation("no object below a prefix", "ls lab:/laboratory/nothing/"),
    Situation("a prefix to delete without -r", "rm lab:/laboratory/run"),
    Situation("no object to delete", "rm lab:/laboratory/nothing.csv"),
    Situation("a directory to make in a bucket", "mkdir lab:/laboratory/new/"),
    Situation("a range that is none", "cat lab:/laboratory/run/one.csv --start 9 --end 3"),
    Situation("a range behind the end", "cat lab:/laboratory/run/one.csv --start 900"),
    Situation("nobody may list", "ls lab:/laboratory/ --anonymous"),
    Situation("a wrong secret", "ls wrong-secret:/laboratory/"),
    Situation("a wrong secret, in JSON", "cp note.txt wrong-secret:/laboratory/ --json"),
    Situation("a wrong access key", "cp note.txt wrong-key:/laboratory/"),
    Situation("names that may not become paths", "sync scripted:/bucket/ there/", answer=_LISTING),
    Situation(
        "a region that is another",
        "ls scripted:/bucket/",
        answer=_refusal(
            "400 Bad Request",
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'",
        ),
    ),
    Situation(
        "a clock that is wrong",
        "ls scripted:/bucket/",
        answer=_refusal("403 Forbidden", "RequestTimeTooSkewed", "The difference between the times is too large."),
    ),
    Situation(
        "an upload that is denied",
        "cp note.txt scripted:/bucket/",
        answer=_refusal("403 Forbidden", "AccessDenied", "Access Denied"),
    ),
    Situation(
        "a service that asks for patience",
        "cp note.txt scripted:/bucket/",
        answer=_refusal("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    ),
    Situation(
        "a service that failed",
        "cp data/ scripted:/bucket/ --concurrency 1",
        answer=_refusal("500 Internal Server Error", "InternalError", "We encountered an internal error."),
    ),
    Situation("a page instead of a listing", "ls scripted:/bucket/", answer=_PORTAL),
)

_NETWORK = (
    Situation("an endpoint that refuses", "ls refused:/bucket/"),
    Situation("an endpoint that refuses an upload", "cp data/ refused:/bucket/ --concurrency 1"),
    Situation("an endpoint that refuses, in JSON", "cat refused:/bucket/key --json"),
    Situation("a host that is not found", "ls nowhere:/bucket/"),
    Situation("a certificate that nobody trusts", "ls untrusted:/bucket/"),
    Situation("TLS to a port without it", "ls not-tls:/bucket/"),
    Situation("no TLS to a port with it", "ls not-plain:/bucket/"),
    Situation("a proxy that refuses", "ls nowhere:/bucket/", variables={"HTTP_PROXY": "http://127.0.0.1:9"}),
    Situation("Azure that refuses", "ls blob:/container/"),
    Situation("Google Cloud that refuses", "ls google:/bucket/"),
    Situation("an SSH server that refuses", "ls archive:/directory/"),
    Situation("a web server that refuses", "cp http://127.0.0.1:9/file there/"),
    Situation("a hub that refuses", "login --hub http://127.0.0.1:9 --email me@example.com", stdin="password\n"),
    Situation("units without an account", "units list"),
    Situation("no such unit", "ls unit:/nothing/ --email your@email.com", stdin="your_password\n"),
)

_JOBS = (
    Situation("no such job to show", "jobs show none"),
    Situation("no such job to resume", "jobs resume none"),
    Situation("a damaged job to list", "jobs list", _damaged_job, journal=True),
    Situation("a damaged job to resume", "jobs resume JOB", _damaged_job, journal=True),
    Situation("a job that fails again", "jobs resume JOB", _failed_job, journal=True),
    Situation("a directory in the way, with a job", "cp data/ there/", _directory_in_the_way, journal=True),
)

SITUATIONS = (*_COMMAND_LINE, *_SETTINGS, *_FILES, *_OBJECTS, *_NETWORK, *_JOBS)
