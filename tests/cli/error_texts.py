"""Writes down what commands print on standard error in the situations of `error_situations.py`.

`python -m tests.cli.error_texts` renews `tests/cli/error_texts.txt`, which a test compares with the commands.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from dxflow_async.cli import main
from tests.cli.error_situations import SITUATIONS, Situation
from tests.ordinary_rights import ordinary_rights
from tests.python_processes import Outcome, clean_environment
from tests.scripted_server import Answer, ScriptedServer
from tests.servers.certificate import make_certificate
from tests.servers.weed import SeaweedFS

__all__ = ["BUCKET", "RECORD", "Laboratory", "error_text", "laboratory", "recorded"]

RECORD = Path(__file__).with_name("error_texts.txt")

BUCKET = "laboratory"

_CONFIGURATION = """\
max_attempts = 1
journal = {journal}

[remotes.lab]
type = "s3"
endpoint = "{server}"
access_key = "{access_key}"
secret_key = "{secret_key}"

[remotes.wrong-secret]
type = "s3"
endpoint = "{server}"
access_key = "{access_key}"
secret_key = "not-that-one"

[remotes.wrong-key]
type = "s3"
endpoint = "{server}"
access_key = "AKIANOTTHATONE"
secret_key = "not-that-one"

[remotes.scripted]
type = "s3"
endpoint = "{scripted}"
access_key = "key"
secret_key = "secret"

[remotes.untrusted]
type = "s3"
endpoint = "{untrusted}"
access_key = "key"
secret_key = "secret"

[remotes.not-tls]
type = "s3"
endpoint = "{not_tls}"
access_key = "key"
secret_key = "secret"

[remotes.not-plain]
type = "s3"
endpoint = "{not_plain}"
access_key = "key"
secret_key = "secret"

[remotes.refused]
type = "s3"
endpoint = "http://127.0.0.1:9"
access_key = "key"
secret_key = "secret"

[remotes.nowhere]
type = "s3"
endpoint = "http://no-such-host.invalid"
access_key = "key"
secret_key = "secret"

[remotes.blob]
type = "azure"
endpoint = "http://127.0.0.1:9/account"
account_key = "a2V5"

[remotes.google]
type = "gcs"
endpoint = "http://127.0.0.1:9"

[remotes.archive]
type = "sftp"
host = "127.0.0.1"
port = 9
path = "/"
"""


@dataclass(frozen=True)
class Laboratory:
    """The servers that the situations need.

    Attributes:
        server: an S3 server with a bucket of three objects.
        scripted: a server that gives the answer of a situation to every request.
        untrusted: the URL of a server whose certificate nobody trusts.
        reply: sets the answer of `scripted`.
    """

    server: SeaweedFS
    scripted: str
    untrusted: str
    reply: Callable[[Answer], None]


@contextlib.contextmanager
def laboratory(server: SeaweedFS, directory: Path) -> Iterator[Laboratory]:
    """Fills a bucket of the server, and starts the others.

    Args:
        server: an S3 server.
        directory: an empty directory.
    """
    server.create_bucket(BUCKET)
    for key in ("run/one.csv", "run/two.csv", "run/sub/three.csv"):
        server.client.put_object(Bucket=BUCKET, Key=key, Body=b"1,2,3\n")
    with _scripted_servers(directory) as (scripted, untrusted, reply):
        yield Laboratory(server, scripted, untrusted, reply)


def error_text(laboratory: Laboratory, situation: Situation, directory: Path) -> str:
    """Returns the command line of a situation, its exit status and what it printed on standard error.

    Args:
        laboratory: the servers.
        situation: the situation.
        directory: an empty directory.
    """
    work = directory / "work"
    outcome = _run(laboratory, situation, directory, work)
    lines = [f"$ dxflow-async {situation.line}", f"exit status {outcome.status}", outcome.stderr.rstrip("\n")]
    if "--json" in situation.line:
        lines += ["standard output:", outcome.stdout.rstrip("\n")]
    return _stable("\n".join(lines), directory, work, laboratory.server)


def recorded() -> dict[str, str]:
    """Returns the recorded texts by the names of their situations."""
    sections = RECORD.read_text("utf-8").split("## ")[1:]
    return {name: text.strip("\n") for name, _, text in (section.partition("\n") for section in sections)}


def _run(laboratory: Laboratory, situation: Situation, directory: Path, work: Path) -> Outcome:
    """Runs the command as the only thing that this process does: with an environment and log handlers of its own."""
    home = directory / "home"
    _make_tree(work)
    home.mkdir()
    server = laboratory.server
    configuration = _CONFIGURATION.format(
        server=server.endpoint,
        access_key=server.access_key,
        secret_key=server.secret_key,
        scripted=laboratory.scripted,
        untrusted=laboratory.untrusted,
        not_tls=server.endpoint.replace("http:", "https:"),
        not_plain=laboratory.untrusted.replace("https:", "http:"),
        journal=str(situation.journal).lower(),
    )
    (home / "config.toml").write_text(configuration)
    (home / "config.toml").chmod(0o600)
    if situation.answer is not None:
        laboratory.reply(situation.answer)
    environment = {**_without_proxies(clean_environment(home)), **situation.variables}
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        contextlib.chdir(work),
        _own_logging(),
        ordinary_rights(),
    ):
        if situation.prepare is not None:
            situation.prepare(home)
        try:
            return _called(situation, home)
        finally:
            for each in work.rglob("*"):
                if each.is_dir():
                    each.chmod(0o755)


def _without_proxies(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}


def _called(situation: Situation, home: Path) -> Outcome:
    jobs = [path.stem for path in (home / "jobs").glob("*.sqlite3")]
    line = situation.line.replace("JOB", jobs[0] if jobs else "JOB")
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as stdout,
        tempfile.TemporaryFile("w+", encoding="utf-8") as stderr,
        mock.patch.multiple(sys, stdin=io.StringIO(situation.stdin), stdout=stdout, stderr=stderr),
    ):
        status = main(shlex.split(line))
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read())
    return Outcome(status, *texts)


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    """The command sets up logging as in a process of its own."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = handlers


def _make_tree(directory: Path) -> None:
    for name in ("data/one.csv", "data/two.csv", "data/sub/three.csv", "note.txt"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1,2,3\n")
    (directory / "empty").mkdir()


_PLACEHOLDERS = (
    (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT"),
    (r"(could not find the host \S+) \(.*?\)", r"\1 (THE SYSTEM'S WORDS)"),
    (r"\b20\d{6}[-T]?\d{6}\w*(-\w+)?", "JOB"),
    (r"\(request [0-9A-F]+\)", "(request ID)"),
    (r'"(seconds|concurrency)": [\d.e-]+', r'"\1": NUMBER'),
    (r"(is not trusted|the encrypted connection with \S+ failed) \(.*?\);", r"\1 (THE WORDS OF TLS);"),
    (r"the connection was closed \([^)]*\)", "the connection was closed"),
    (r"(is not valid TOML): .*", r"\1: THE PARSER'S WORDS"),
    (r"(job file) \(.*?\): set", r"\1 (THE DATABASE'S WORDS): set"),
)


def _stable(text: str, directory: Path, work: Path, server: SeaweedFS) -> str:
    """Replaces what differs from run to run."""
    text = text.replace(f"{work}", "WORK").replace(str(directory / "home"), "HOME")
    text = text.replace(server.access_key, "ACCESS-KEY")
    for pattern, placeholder in _PLACEHOLDERS:
        text = re.sub(pattern, placeholder, text)
    return text


@contextlib.contextmanager
def _scripted_servers(directory: Path) -> Iterator[tuple[str, str, Callable[[Answer], None]]]:
    """Two servers in a thread: their URLs, the second over TLS, and what sets the answer of the first."""
    import ssl

    certificate, key, _ = make_certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop, started, ending = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    made: list[ScriptedServer] = []

    async def serve() -> None:
        async with ScriptedServer(b"") as scripted, ScriptedServer(b"", tls=context) as untrusted:
            made.extend((scripted, untrusted))
            started.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="scripted servers")
    thread.start()
    try:
        assert started.wait(20)
        scripted, untrusted = made
        yield scripted.url, untrusted.url, scripted.reply
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


def _record() -> None:
    texts = []
    top = Path(tempfile.mkdtemp())
    try:
        (top / "servers").mkdir()
        with SeaweedFS.start(top / "weed") as server, laboratory(server, top / "servers") as servers:
            for number, situation in enumerate(SITUATIONS):
                directory = top / str(number)
                directory.mkdir()
                texts.append(f"## {situation.name}\n\n{error_text(servers, situation, directory)}\n")
    finally:
        shutil.rmtree(top, ignore_errors=True)
    RECORD.write_text("\n".join(texts), "utf-8")


if __name__ == "__main__":
    _record()
