"""`tail --follow` as a process, and Ctrl-C in the middle of commands with `--json`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

import pytest

from tests.cli.called_command import Command, check_json_lines, s3_variables
from tests.python_processes import RunningScript, clean_environment
from tests.server.running_hub import UnitProcess
from tests.servers import Azurite, GCSServer, SeaweedFS

Put = Callable[[bytes], object]


@pytest.fixture
def place(request: pytest.FixtureRequest) -> tuple[str, Put, dict[str, str]]:
    """An object of a service: its location, what replaces its content, and the variables that lead to it."""
    name = f"log-{uuid4().hex[:12]}"
    if request.param == "AWS":
        weed: SeaweedFS = request.getfixturevalue("server")
        bucket = weed.create_bucket(name)
        put: Put = lambda data: weed.client.put_object(Bucket=bucket, Key="log", Body=data)  # noqa: E731
        return f"aws:/{bucket}/log", put, s3_variables(weed)
    if request.param == "AZURE":
        azurite: Azurite = request.getfixturevalue("azurite")
        blob = azurite.client.get_container_client(azurite.create_container(name)).get_blob_client("log")
        variables = {"ENDPOINT": azurite.endpoint, "ACCOUNT": azurite.account, "ACCOUNT_KEY": azurite.account_key}
        prefixed = {f"DXFLOW_AZURE_{key}": value for key, value in variables.items()}
        return f"azure:/{name}/log", lambda data: blob.upload_blob(data, overwrite=True), prefixed
    gcs: GCSServer = request.getfixturevalue("gcs")
    bucket = gcs.create_bucket(name)
    return f"gcp:/{bucket}/log", lambda data: gcs.put(bucket, "log", data), {"DXFLOW_GCP_ENDPOINT": gcs.endpoint}


@pytest.mark.server
@pytest.mark.parametrize("place", ["AWS", "AZURE", "GCP"], indirect=True)
def test_an_object_is_followed_until_ctrl_c(place: tuple[str, Put, dict[str, str]], tmp_path: Path) -> None:
    """What was appended is printed once, a shorter object from its beginning; Ctrl-C is 130 and no traceback."""
    location, put, variables = place
    put(b"one\ntwo\n")
    with subprocess.Popen(
        [sys.executable, "-m", "dxflow_async", "tail", "-n", "1", "-f", location],
        env=clean_environment(tmp_path / "home", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "two\n"
            put(b"one\ntwo\nthree\nfour\n")
            assert [process.stdout.readline(), process.stdout.readline()] == ["three\n", "four\n"]
            put(b"new\n")
            assert process.stdout.readline() == "new\n"
            process.send_signal(2)
            rest, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, rest) == (130, "")
    assert [line.partition(location)[2] for line in errors.splitlines()[:-1] if location in line] == [
        " became shorter: it is printed from its beginning"
    ]
    assert errors.splitlines()[-1] == "dxflow-async: interrupted"
    assert "Traceback" not in errors


@pytest.mark.server
def test_a_file_of_a_unit_is_followed(command: Command, home: Path, tmp_path: Path) -> None:
    """A unit's server and the command are processes of their own; what a job on the unit appends is printed."""
    (tmp_path / "unit").mkdir()
    unit = UnitProcess(tmp_path / "unit")
    serving = unit.start()
    try:
        account = ("--email", "your@email.com")
        secrets = str(tmp_path / "unit" / "secrets.json")
        made = command("units", "register", "mine", unit.url, "--secrets", secrets, *account, stdin="your_password\n")
        assert made.status == 0, made.stderr
        log = unit.root / "results" / "log"
        log.parent.mkdir()
        log.write_bytes(b"one\ntwo\n")
        with subprocess.Popen(
            [sys.executable, "-m", "dxflow_async", "tail", "-n", "1", "-f", "unit:/mine/results/log", *account],
            env=clean_environment(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("your_password\n")
                process.stdin.flush()
                assert process.stdout.readline() == "two\n"
                with log.open("ab") as file:
                    file.write(b"three\nfour\n")
                assert [process.stdout.readline(), process.stdout.readline()] == ["three\n", "four\n"]
                log.write_bytes(b"new\n")
                assert process.stdout.readline() == "new\n"
                process.send_signal(2)
                rest, errors = process.communicate(timeout=60)
            finally:
                process.kill()
    finally:
        serving.kill()
    assert (process.returncode, rest, "Traceback" in errors) == (130, "", False)
    assert "unit:/mine/results/log became shorter: it is printed from its beginning" in errors
    assert errors.splitlines()[-1] == "dxflow-async: interrupted"


def test_what_cannot_be_followed(command: Command, tmp_path: Path) -> None:
    """Nothing of that name is 3; a directory, and a pattern that matches several files, are 2."""
    (tmp_path / "logs").mkdir()
    for name in "ab":
        (tmp_path / "logs" / name).write_bytes(b"line\n")
    assert command("tail", "-f", "none").status == 3
    assert command("tail", "-f", "logs/x*").status == 3
    assert command("tail", "-f", "logs").status == 2
    several = command("tail", "-f", "logs/*")
    assert (several.status, "matches 2 objects" in several.stderr, several.stdout) == (2, True, "")
    assert command("tail", "logs/*").stdout == "line\nline\n"


class _Unanswered(BaseHTTPRequestHandler):
    """An S3 server that knows each object, and answers neither deletions nor uploads."""

    protocol_version = "HTTP/1.1"
    asked: Event
    over: Event

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", "Sat, 28 Nov 2026 12:00:00 GMT")
        self.end_headers()

    def do_GET(self) -> None:
        body = b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        self.asked.set()
        self.over.wait(60)
        self.close_connection = True

    def do_POST(self) -> None:
        self.do_DELETE()

    def do_PUT(self) -> None:
        self.do_DELETE()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@contextmanager
def unanswered() -> Iterator[tuple[str, Event]]:
    """Runs the server; yields its URL, and an event: a deletion or an upload waits."""
    asked, over = Event(), Event()
    handler = type("Handler", (_Unanswered,), {"asked": asked, "over": over})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            over.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("arguments", ["cp tree/ aws:/b/x/", "sync tree/ aws:/b/x/", "rm aws:/b/x aws:/b/y"])
def test_ctrl_c_with_json(arguments: str, tmp_path: Path) -> None:
    """Each line is one of the schema, and the last one says why the command ended; the status is 130."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"bytes")
    with unanswered() as (url, asked):
        keys = {"REGION": "us-east-1", "ACCESS_KEY": "key", "SECRET_KEY": "secret", "ENDPOINT": url}
        environment = clean_environment(
            tmp_path / "home", **{f"DXFLOW_AWS_{name}": value for name, value in keys.items()}
        )
        module = ("dxflow_async.cli", *arguments.split(), "--json")
        with RunningScript("", environment, directory=tmp_path, module=module, strict=False) as script:
            assert asked.wait(60)
            script.interrupt()
            outcome = script.wait()
    assert (outcome.status, "Traceback" in outcome.stderr) == (130, False)
    check_json_lines(outcome.stdout)
    last = json.loads(outcome.stdout.splitlines()[-1])
    assert (last["type"], last["status"], last["message"]) == ("error", 130, "interrupted")
