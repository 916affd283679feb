"""Pipes and devices: named, they are read and written; inside of a tree they are skipped or refused."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.called_command import Command, s3_variables
from tests.python_processes import clean_environment
from tests.servers.weed import SeaweedFS


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A named pipe."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def read_later(path: Path) -> tuple[threading.Thread, list[bytes]]:
    """Reads a pipe to its end in a thread; the list gets what was read."""
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(path.read_bytes()), daemon=True)
    thread.start()
    return thread, found


def test_a_device_is_written_into(command: Command, tmp_path: Path) -> None:
    """Several files, one after the other; the device stays, and what cannot be written is a failure."""
    (tmp_path / "a").write_bytes(b"1234")
    (tmp_path / "b").write_bytes(b"5")
    device = os.stat("/dev/null")
    outcome = command("cp", "a", "b", "/dev/null")
    assert (outcome.status, outcome.stderr) == (0, "5 bytes written to /dev/null\n")
    report = json.loads(command("cp", "a", "/dev/null", "--json").stdout.splitlines()[-1])
    assert (report["type"], report["bytes"]) == ("report", 4)
    outcome = command("cp", "a", "/dev/full")
    assert (outcome.status, "/dev/full failed: No space left" in outcome.stderr) == (1, True)
    assert command("cp", ".", "/dev/null").status == 2
    assert command("cp", "none", "/dev/null").status == 3
    assert command("cp", "a", "/dev/null", "--meta", "x=y").status == 2
    assert command("cp", "-n", "a", "/dev/null").stdout == "would stream a to /dev/null; nothing was transferred\n"
    assert command("mv", "a", "/dev/null").status == 1
    assert (tmp_path / "a").exists()
    assert os.path.samestat(os.stat("/dev/null"), device)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_device_is_not_taken_away(command: Command, tmp_path: Path) -> None:
    """Neither `rm` nor `mv` removes a device or gives it another name, also not for root, who could."""
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs the right to make a device")
    for line in (("rm", str(device)), ("mv", str(device), "other"), ("mv", str(device), "below/")):
        outcome = command(*line)
        assert (outcome.status, "it is a device" in outcome.stderr) == (1, True), (line, outcome.stderr)
        assert stat.S_ISCHR(device.stat().st_mode)
        assert sorted(os.listdir(tmp_path)) == ["null"]


def test_a_pipe_is_written_into(command: Command, fifo: Path, tmp_path: Path) -> None:
    """It is waited for until somebody reads from it, and stays a pipe. More goes through it than it holds."""
    data = os.urandom(300_000)
    (tmp_path / "a").write_bytes(data)
    thread, found = read_later(fifo)
    assert command("cp", "a", "fifo", "-q").status == 0
    thread.join(10)
    assert found == [data]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_pipe_is_read(command: Command, fifo: Path, tmp_path: Path) -> None:
    """To a file, into a directory under its own name, and to standard output."""
    (tmp_path / "goal").mkdir()
    for arguments, goal in ((("cp", "-q", "fifo", "copy"), "copy"), (("cp", "-q", "fifo", "goal/"), "goal/fifo")):
        thread = threading.Thread(target=lambda: fifo.write_bytes(b"x" * 200_000), daemon=True)
        thread.start()
        assert command(*arguments).status == 0
        assert (tmp_path / goal).read_bytes() == b"x" * 200_000
        thread.join(10)
    thread = threading.Thread(target=lambda: fifo.write_bytes(b"0123456789"), daemon=True)
    thread.start()
    assert command("cat", "--start", "2", "--end", "5", "fifo").stdout == "234"
    thread.join(10)


def test_a_device_is_read_to_its_end(command: Command, tmp_path: Path) -> None:
    """The null device is empty; a preview reads nothing, and a stream is no directory to choose from."""
    assert command("cp", "/dev/null", "empty").status == 0
    assert (tmp_path / "empty").read_bytes() == b""
    assert command("cp", "-n", "/dev/zero", "none").status == 0
    assert not (tmp_path / "none").exists()
    assert command("cat", "--end", "3", "/dev/zero").stdout == "\0\0\0"
    assert command("cp", "/dev/null", "none", "--exclude", "x").status == 2
    assert command("cp", "/dev/null", "none", "--update").status == 2


def test_the_names_of_standard_streams(configured: SeaweedFS, tmp_path: Path) -> None:
    """They are the open descriptors, whatever these lead to: a pipe, or a file that is appended to."""
    environment = clean_environment(tmp_path / "home", **s3_variables(configured))
    bucket = configured.create_bucket("standard-streams")

    def run(line: str) -> subprocess.CompletedProcess[bytes]:
        script = line.replace("DXA", f"{sys.executable} -m dxflow_async")
        return subprocess.run(
            ["/bin/sh", "-c", script], env=environment, input=b"data", capture_output=True, check=False, cwd=tmp_path
        )

    assert run(f"DXA cp /dev/stdin aws:/{bucket}/key && DXA cp aws:/{bucket}/key /dev/stdout").stdout == b"data"
    (tmp_path / "log").write_bytes(b"before ")
    assert run(f"DXA cp aws:/{bucket}/key /dev/fd/1 >> log").returncode == 0
    assert (tmp_path / "log").read_bytes() == b"before data"
    assert run(f"DXA cp /dev/fd/3 copy 3< log && DXA cat - < log > both && DXA cp aws:/{bucket}/key /dev/fd/4 4>> both")
    assert (tmp_path / "copy").read_bytes() == b"before data"
    assert (tmp_path / "both").read_bytes() == b"before datadata"


@pytest.mark.usefixtures("fifo")
def test_ctrl_c_ends_the_wait_for_a_pipe(tmp_path: Path) -> None:
    """Nobody ever opens its other end, in either direction."""
    (tmp_path / "a").write_bytes(b"1")
    for line in ("cp fifo b", "cp a fifo", "cat fifo"):
        script = f"""
import os, signal, sys, threading, time
def press():
    while "dxflow_async.cli.byte_streams" not in sys.modules:
        time.sleep(0.05)
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press, daemon=True).start()
from dxflow_async.cli import main
sys.exit(main({line.split()!r}))
"""
        ended = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path, env=clean_environment(tmp_path / "home"), capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (130, b"dxflow-async: interrupted\n"), line
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("verb", ["cp", "mv", "sync"])
def test_special_files_in_a_tree_are_named(command: Command, configured: SeaweedFS, tmp_path: Path, verb: str) -> None:
    """Pipes and broken links are skipped with status 1; the files beside them are transferred."""
    goal = f"aws:/{configured.create_bucket(f'special-{verb}')}/"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"1")
    os.mkfifo(tmp_path / "tree" / "pipe")
    (tmp_path / "tree" / "broken").symlink_to("nowhere")
    assert command(verb, "-n", "tree/", goal).status == 1
    outcome = command(verb, "tree/", goal)
    assert outcome.status == 1
    assert "skipped tree/pipe: not a regular file" in outcome.stdout
    assert "skipped tree/broken: a symbolic link to nothing" in outcome.stdout
    assert command("ls", goal).stdout.split()[-1:] == ["file"]
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == [
        "broken", *(["file"] if verb != "mv" else []), "pipe"
    ]  # fmt: skip
    lines = [json.loads(line) for line in command("sync", "tree/", goal, "--json").stdout.splitlines()]
    assert sorted((line["source"], line["unreadable"]) for line in lines if line.get("state") == "skipped") == [
        ("tree/broken", True), ("tree/pipe", True)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["pipe", "broken link"])
def test_what_is_in_the_way_in_a_tree_stays(command: Command, tmp_path: Path, kind: str) -> None:
    """A pipe or a link that the user has not named is neither replaced nor written into; the item fails."""
    (tmp_path / "tree").mkdir()
    for name in ("a", "b"):
        (tmp_path / "tree" / name).write_bytes(b"new")
    (tmp_path / "goal").mkdir()
    obstacle = tmp_path / "goal" / "a"
    if kind == "pipe":
        os.mkfifo(obstacle)
    else:
        obstacle.symlink_to("nowhere")
    before = os.lstat(obstacle)
    outcome = command("cp", "tree/", "goal/", "--json")
    assert outcome.status == 1
    failed = [line for line in map(json.loads, outcome.stdout.splitlines()) if line.get("state") == "failed"]
    assert [line["source"] for line in failed] == ["tree/a"]
    assert os.path.samestat(os.lstat(obstacle), before)
    assert not (tmp_path / "goal" / "nowhere").exists()
    assert (tmp_path / "goal" / "b").read_bytes() == b"new"
