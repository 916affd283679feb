"""The command as a program: its help, its start, its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dxflow_async.cli import main
from dxflow_async.cli.summaries import EXAMPLES, SUMMARIES
from tests.cli.called_command import Command, s3_variables
from tests.python_processes import RunningScript, clean_environment, run_script
from tests.servers.weed import SeaweedFS

_COMMANDS = tuple(SUMMARIES)


def test_help_names_every_command(command: Command) -> None:
    """With status 0; nothing at all is help, too."""
    outcome = command("--help")
    assert outcome.status == 0
    assert all(f" {name} " in outcome.stdout for name in _COMMANDS)
    assert command().stdout == outcome.stdout


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_help(command: Command, name: str) -> None:
    """With status 0, and a word on each parameter."""
    outcome = command(name, "--help")
    assert outcome.status == 0
    assert outcome.stdout.startswith(f"Usage: dxflow-async {name}")
    text = " ".join(outcome.stdout.split())
    assert all(f"dxflow-async {' '.join(example.split())}" in text for example in EXAMPLES[name])
    assert "6 the two sides differ" in text


def test_every_command_is_documented() -> None:
    """`docs/cli.md`, whose examples are run, has each of them, and `docs/json.md` each type of line."""
    docs = Path(main.__globals__["__file__"]).parents[1] / "docs"
    text = (docs / "cli.md").read_text("utf-8")
    assert not [name for name in SUMMARIES if f"\ndxflow-async {name}" not in text]
    schema = json.loads((docs / "json.schema.json").read_text("utf-8"))
    table = (docs / "json.md").read_text("utf-8")
    assert not [kind for kind in schema["properties"]["type"]["enum"] if f"\n| `{kind}` |" not in table]


def test_version(command: Command) -> None:
    """That of the installed distribution."""
    outcome = command("--version")
    assert outcome.status == 0
    assert outcome.stdout.strip()[0].isdigit()


def test_starting_imports_nothing_heavy(tmp_path: Path) -> None:
    """Help comes without the session, aiohttp or an SDK: a command imports what it needs itself."""
    outcome = run_script(
        """
        import sys
        from dxflow_async.cli import main
        assert main(["--help"]) == 0
        heavy = {"aiohttp", "botocore", "aioboto3", "dxflow_async.session", "rich.progress", "uvloop"}
        assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
        """,
        clean_environment(tmp_path),
    )
    assert (outcome.status, outcome.stderr) == (0, "")


def test_the_installed_program_is_this_one(tmp_path: Path) -> None:
    """The entry point gives its status to the shell."""
    program = Path(sys.executable).with_name("dxflow-async")
    done = subprocess.run([program, "cp", "a", "b"], env=clean_environment(tmp_path), capture_output=True, check=False)
    assert done.returncode == 3


def _interrupted_copy(server: SeaweedFS, tmp_path: Path, bucket: str, *, terminate: bool) -> tuple[int, str]:
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(256 << 20)
    environment = clean_environment(tmp_path / "home", **s3_variables(server), DXFLOW_MAX_BANDWIDTH="8MiB")
    module = ("dxflow_async.cli", "cp", str(large), f"aws:/{bucket}/")
    with RunningScript("", environment, module=module, strict=False) as script:
        while "Uploads" not in server.client.list_multipart_uploads(Bucket=bucket):
            assert script.running
        (script.terminate if terminate else script.interrupt)()
        outcome = script.wait()
    assert "Contents" not in server.client.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in server.client.list_multipart_uploads(Bucket=bucket)
    return outcome.status, outcome.stderr


@pytest.mark.parametrize(("terminate", "status", "word"), [(False, 130, "interrupted"), (True, 143, "terminated")])
def test_ctrl_c_and_sigterm_clean_up(
    server: SeaweedFS, tmp_path: Path, terminate: bool, status: int, word: str
) -> None:
    """The upload in parts is aborted at the server; the status says why it ended, without a traceback."""
    bucket = server.create_bucket(word)
    ended, errors = _interrupted_copy(server, tmp_path, bucket, terminate=terminate)
    # Before that it may say which job is left to go on with, when there was time to begin one.
    assert (ended, errors.splitlines()[-1]) == (status, f"dxflow-async: {word}")
    assert "Traceback" not in errors


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path, configured: SeaweedFS) -> None:
    """`dxflow-async cat ... | head` ends quietly."""
    bucket = configured.create_bucket("broken-pipe")
    configured.client.put_object(Bucket=bucket, Key="large", Body=bytes(4 << 20))
    environment = clean_environment(tmp_path, **s3_variables(configured))
    with subprocess.Popen(
        [sys.executable, "-m", "dxflow_async.cli", "cat", f"aws:/{bucket}/large"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (1, b"")


def test_ctrl_c_before_anything_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the command is still being imported."""

    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("dxflow_async.cli.app.run_app", interrupt)
    assert main(["jobs", "list"]) == 130
