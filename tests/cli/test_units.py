"""`units ...`, and units as places of `ls`, `cat`, `rm` and `sync`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.called_command import Command
from tests.server.running_hub import SECRETS, UnitProcess


@pytest.fixture
def volume(home: Path) -> Path:
    """What the embedded hub's unit serves, with two files."""
    volume = home / "units" / "Demo"
    (volume / "dir").mkdir(parents=True)
    (volume / "dir" / "a.txt").write_bytes(b"aaa")
    (volume / "b.txt").write_bytes(b"bb")
    return volume


def test_list(signed_in: Command) -> None:
    """A table of the account's units."""
    outcome = signed_in("units", "list")
    header, row = outcome.stdout.splitlines()
    assert (outcome.status, header.split()[:3], row.split()[:2]) == (0, ["Name", "Status", "IP"], ["Demo", "READY"])


def test_the_life_of_a_unit(signed_in: Command, tmp_path: Path) -> None:
    """Registered, it can be stopped, started, looked into, ended; each command says what became of it."""
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps(SECRETS.to_dict()))
    secrets.chmod(0o600)
    made = signed_in("units", "register", "mine", "https://10.0.0.1:8790", "--secrets", str(secrets), "--cpu", "4")
    assert (made.status, made.stdout) == (0, "registered mine, at 10.0.0.1:8790: READY\n")
    assert SECRETS.rw not in made.stdout + made.stderr
    for action, status in (("stop", "STOPPED"), ("start", "READY"), ("terminate", "TERMINATED")):
        assert signed_in("units", action, "mine").stdout == f"mine: {status}\n"
        assert signed_in("units", "status", "mine").stdout == f"{status}\n"
    assert json.loads(signed_in("units", "troubleshoot", "Demo").stdout)["served"] is True
    assert signed_in("units", "status", "--ip", "10.0.0.1").stdout == "TERMINATED\n"
    assert signed_in("units", "status").stdout == "READY\n"  # the only one left


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("units", "status", "other"), 3, "there are 'Demo'"),
        (("units", "start", "--ip", "10.9.9.9"), 3, "at 10.9.9.9"),
        (("units", "terminate"), 2, "is missing"),
        (("units", "register", "mine", "https://host", "--secrets", "none.json"), 2, "none.json does not exist"),
        (("ls", "unit:/"), 2, "unit:/NAME"),
        (("ls", "unit:/other/"), 3, "there are 'Demo'"),
        (("ls", "unit:/Demo/none"), 3, "none"),
        (("presign", "unit:/Demo/b.txt"), 2, "such as aws:/bucket/key"),
    ],
)
def test_what_cannot_be(signed_in: Command, volume: Path, arguments: tuple[str, ...], status: int, text: str) -> None:
    """A message that says why, no traceback, and nothing done."""
    outcome = signed_in(*arguments)
    assert volume.exists()
    assert (outcome.status, "Traceback" in outcome.stderr) == (status, False)
    assert text in outcome.stderr


def test_units_need_an_account(command: Command) -> None:
    """Without one the message says how to sign in."""
    for arguments in (("units", "list"), ("cp", "unit:/Demo/x", "x"), ("cat", "unit:/Demo/x")):
        outcome = command(*arguments)
        assert (outcome.status, "dxflow-async login" in outcome.stderr) == (2, True)


def test_looking_at_a_unit(signed_in: Command, volume: Path) -> None:
    """`ls` prints in the order of names; below a directory with relative names; `cat` the bytes."""
    assert volume.exists()
    assert [line.split()[-1] for line in signed_in("ls", "unit:/Demo").stdout.splitlines()] == ["b.txt", "dir"]
    listed = signed_in("ls", "-r", "unit:/Demo/").stdout
    assert [line.split()[-1] for line in listed.splitlines()] == ["b.txt", "dir/a.txt"]
    assert signed_in("cat", "unit:/Demo/dir/a.txt").stdout == "aaa"


def test_rm_on_a_unit(signed_in: Command, volume: Path) -> None:
    """A file goes; a directory only with --recursive, with or without its slash."""
    for location in ("unit:/Demo/dir", "unit:/Demo/dir/"):
        refused = signed_in("rm", location)
        assert (refused.status, "--recursive" in refused.stderr) == (2, True)
    assert (volume / "dir" / "a.txt").exists()
    assert signed_in("rm", "unit:/Demo/b.txt").stdout == "1 deleted\n"
    assert not (volume / "b.txt").exists()
    assert signed_in("rm", "-r", "unit:/Demo/dir/").status == 0
    assert not (volume / "dir").exists()


def test_sync_with_a_unit(signed_in: Command, volume: Path, tmp_path: Path) -> None:
    """Both ways; the second time there is nothing to do."""
    assert signed_in("sync", "unit:/Demo", "back").status == 0
    assert (tmp_path / "back" / "dir" / "a.txt").read_bytes() == b"aaa"
    (tmp_path / "back" / "new").write_bytes(b"new")
    (tmp_path / "back" / "b.txt").unlink()
    assert "1 deleted" in signed_in("sync", "back", "unit:/Demo/", "--delete").stdout
    assert (volume / "new").read_bytes() == b"new"
    assert not (volume / "b.txt").exists()
    (report,) = map(json.loads, signed_in("sync", "back", "unit:/Demo", "--delete", "--json").stdout.splitlines())
    assert (report["type"], report["items"]) == ("report", 0)


def test_a_unit_of_ones_own(signed_in: Command, tmp_path: Path) -> None:
    """`unit serve` in a process of its own, `units register`, and then it is a place like any other."""
    server = UnitProcess(tmp_path)
    process = server.start()
    try:
        secrets = str(tmp_path / "secrets.json")
        assert signed_in("units", "register", "mine", server.url, "--secrets", secrets).status == 0
        (tmp_path / "file").write_bytes(b"bytes")
        assert signed_in("cp", "file", "unit:/mine/in/").status == 0
        assert (server.root / "in" / "file").read_bytes() == b"bytes"
        assert signed_in("cp", "unit:/mine/in/file", "aws:/bucket/file").status == 0
        assert signed_in("cat", "aws:/bucket/file").stdout == "bytes"
    finally:
        process.kill()


def test_an_engine_as_a_unit(command: Command, tmp_path: Path) -> None:
    """`units add` writes a section, which `units list` shows without an account, and `units remove` takes away."""
    (tmp_path / "lab.pem").write_text("key")
    made = command("units", "add", "lab", "--engine", "https://lab.example.org", "--key", "lab.pem")
    assert (made.status, made.stdout) == (0, "added lab: unit:/lab/ is the volume of https://lab.example.org\n")
    assert f'key = "{tmp_path / "lab.pem"}"' in (tmp_path / "home" / "config.toml").read_text()
    assert command("units", "list").stdout.splitlines()[1].split()[:3] == ["lab", "UNKNOWN", "lab.example.org"]
    assert command("units", "add", "lab", "--profile", "default").status == 2
    assert command("units", "add", "lab", "--profile", "default", "--replace").status == 0
    refused = command("units", "remove", "lap")
    assert (refused.status, "did you mean lab" in refused.stderr) == (3, True)
    assert command("units", "remove", "lab", "--json").status == 0
    assert "lab" not in (tmp_path / "home" / "config.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("lab",), "names no engine"),
        (("a/b", "--engine", "http://lab"), "unit name"),
        (("lab", "--engine", "lab"), "--engine: units.lab.engine = 'lab'"),
        (("lab", "--engine", "http://lab", "--key", "none.pem"), "there is no file"),
    ],
)
def test_engines_that_cannot_be_units(command: Command, arguments: tuple[str, ...], text: str) -> None:
    """What is wrong is said, and nothing is written."""
    outcome = command("units", "add", *arguments)
    assert outcome.status == 2
    assert text in outcome.stderr
