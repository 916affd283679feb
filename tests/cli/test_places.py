"""Several places, patterns, and the commands that only look: `ls`, `du`, `stat`, `cat`, `tail`, `check`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.called_command import Command
from tests.python_processes import clean_environment
from tests.servers.weed import SeaweedFS


@pytest.fixture
def bucket(configured: SeaweedFS, request: pytest.FixtureRequest) -> str:
    """A bucket with tables of two runs."""
    bucket = configured.create_bucket(f"places-{abs(hash(request.node.name)) % 10**8}")
    for key, size in [
        ("run-1/a.csv", 3),
        ("run-1/b.txt", 5),
        ("run-2/deep/c.csv", 7),
        ("run-2/[x].csv", 2048),
        ("run", 1),
    ]:
        configured.client.put_object(Bucket=bucket, Key=key, Body=b"x" * size)
    return bucket


def _lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_patterns_match_objects_and_directories(command: Command, bucket: str) -> None:
    """Stars stay within a component, two of them do not; an object of that very name is itself."""
    place = f"aws:/{bucket}"

    def found(pattern: str) -> list[object]:
        lines = _lines(command("stat", "--json", f"{place}/{pattern}").stdout)
        return [str(line["location"]).removeprefix(f"{place}/") for line in lines]

    assert found("run-*/*.csv") == ["run-1/a.csv", "run-2/[x].csv"]
    assert found("**/*.csv") == ["run-1/a.csv", "run-2/[x].csv", "run-2/deep/c.csv"]
    assert found("run-?") == ["run-1/", "run-2/"]
    assert found("run-[!2]/?.*") == ["run-1/a.csv", "run-1/b.txt"]
    assert found("run-2/[x].csv") == ["run-2/[x].csv"]
    assert found("run-2/[[]x].csv") == ["run-2/[x].csv"]
    outcome = command("stat", f"{place}/none-*")
    assert (outcome.status, "nothing matches" in outcome.stderr) == (3, True)


def test_ls_of_several_places_with_totals(command: Command, bucket: str) -> None:
    """Sizes for people on request; each directory has a title, and a place that is not there is status 3."""
    place = f"aws:/{bucket}"
    outcome = command("ls", "-r", "-h", "--total", f"{place}/run-1/", f"{place}/run-2/", f"{place}/none")
    assert outcome.status == 3
    lines = outcome.stdout.splitlines()
    assert [line.split()[-1] for line in lines if line[:1] == "-"] == ["a.csv", "b.txt", "[x].csv", "deep/c.csv"]
    assert f"{place}/run-2/:" in lines
    assert any(" 2.0Ki " in line for line in lines)
    assert lines[-1] == "total 4 objects, 2.0Ki bytes"
    rows = _lines(command("ls", "--json", "--total", f"{place}/").stdout)
    assert [(row["type"], row.get("name")) for row in rows] == [
        ("item", "run"), ("item", "run-1"), ("item", "run-2"), ("total", None)
    ]  # fmt: skip
    assert {row["version"] for row in rows} == {1}


def test_du_adds_up(command: Command, bucket: str, tmp_path: Path) -> None:
    """The whole, and directories down to a depth; at local places as well."""
    rows = _lines(command("du", "--json", "--depth", "1", f"aws:/{bucket}/").stdout)
    assert [(str(row["location"]).removeprefix(f"aws:/{bucket}/"), row["objects"], row["size"]) for row in rows] == [
        ("run-1/", 2, 8), ("run-2/", 2, 2055), ("", 5, 2064)
    ]  # fmt: skip
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "file").write_bytes(b"12345")
    assert command("du", "tree").stdout.split() == ["5", "1", "tree"]
    assert command("du", "-h", f"aws:/{bucket}/run-2").stdout.split()[:2] == ["2.0Ki", "2"]


def test_cat_and_tail(command: Command, bucket: str, configured: SeaweedFS) -> None:
    """Ranges and several objects; the last lines, however long they are."""
    place = f"aws:/{bucket}"
    assert command("cat", "--start", "1", "--end", "3", f"{place}/run-1/b.txt", f"{place}/run-1/a.csv").stdout == "xxxx"
    text = "".join(f"{number:06}{'-' * 200}\n" for number in range(2000))
    configured.client.put_object(Bucket=bucket, Key="log", Body=text.encode())
    assert command("tail", "-n", "2", f"{place}/log").stdout == "".join(text.splitlines(keepends=True)[-2:])
    assert command("tail", "-n", "1999", f"{place}/log").stdout == "".join(text.splitlines(keepends=True)[1:])
    assert command("tail", "-n", "0", f"{place}/log").stdout == ""
    assert command("tail", "--lines", "-1", f"{place}/log").status == 2
    assert command("tail", f"{place}/none").status == 3


def test_tail_follows_a_growing_file(tmp_path: Path) -> None:
    """Lines that are appended are printed as they come; a file that was begun anew is printed from its beginning."""
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    arguments = [sys.executable, "-m", "dxflow_async", "tail", "-n", "1", "-f", str(log)]
    with subprocess.Popen(
        arguments, env=clean_environment(tmp_path / "home"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "two\n"
        with log.open("a") as file:
            file.write("three\n")
        assert process.stdout.readline() == "three\n"
        log.write_text("new\n")
        assert process.stdout.readline() == "new\n"
        process.terminate()
        assert process.wait(20) == 143


def test_check_compares_two_directories(command: Command, bucket: str, tmp_path: Path) -> None:
    """Status 6 where they differ, with each difference; 0 where they are the same, and nothing is changed."""
    place = f"aws:/{bucket}/run-1/"
    copy = tmp_path / "copy"
    assert command("cp", place, "copy/").status == 0
    same = command("check", "copy", place)
    assert (same.status, same.stdout) == (0, "2 same; 0 differing; 0 missing; 0 extra; 0 unreadable\n")
    (copy / "a.csv").write_bytes(b"abc")
    (copy / "new").write_bytes(b"1")
    (copy / "b.txt").unlink()
    outcome = command("check", "copy", place)
    assert outcome.status == 6
    assert sorted(line.split()[:3] for line in outcome.stdout.splitlines()) == [
        ["0", "same;", "1"], ["differing", "3", "a.csv"], ["extra", "5", "b.txt"], ["missing", "1", "new"]
    ]  # fmt: skip
    *rows, sums = _lines(command("check", "copy", place, "--json").stdout)
    assert sorted(str(row["kind"]) for row in rows) == ["differing", "extra", "missing"]
    assert (sums["ok"], sums["extra"]) == (False, 1)
    assert command("check", "copy", place, "--compare", "size", "--exclude", "new", "--include", "*.csv").status == 0
    assert command("check", "copy", f"aws:/{bucket}/none").status == 3
    assert command("check", "none", place).status == 3
    assert command("check", place, "none").status == 3
    assert sorted(path.name for path in copy.iterdir()) == ["a.csv", "new"]


def test_failures_have_statuses_of_their_own(
    command: Command, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Denied is 4, the network 5, and several kinds together 1; with `--json` they are lines, too."""
    monkeypatch.setenv("DXFLOW_AWS_SECRET_KEY", "wrong")
    assert command("ls", f"aws:/{bucket}/").status == 4
    rows = _lines(command("ls", "--json", f"aws:/{bucket}/").stdout)
    assert [(row["type"], row["status"]) for row in rows] == [("error", 4)]
    monkeypatch.setenv("DXFLOW_AWS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("DXFLOW_MAX_ATTEMPTS", "1")
    (tmp_path / "file").write_bytes(b"1")
    assert command("cp", "file", f"aws:/{bucket}/").status == 5
    assert command("ls", f"aws:/{bucket}/", "none").status == 1
    (row,) = _lines(command("cp", "file", "b2:/x", "--json").stdout)
    assert (row["type"], row["error"], row["status"]) == ("error", "ConfigurationError", 2)
    (row,) = _lines(command("cp", "--json", "--no-such-option").stdout)
    assert (row["type"], row["status"]) == ("error", 2)


def test_the_program_has_a_short_name_and_a_module(tmp_path: Path) -> None:
    """`dxa`, `python -m dxflow_async`, `-V` and `help` work."""
    environment = clean_environment(tmp_path)
    program = str(Path(sys.executable).with_name("dxa"))

    def output(*arguments: str) -> str:
        return subprocess.run(arguments, env=environment, capture_output=True, check=True, text=True).stdout

    version = output(program, "-V")
    assert version == output(sys.executable, "-m", "dxflow_async", "--version")
    assert output(program, "help", "cp") == output(program, "cp", "--help")


def test_configuration(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`config set` writes a setting above all tables, and `config show` says where each is from."""
    path = Path(command("config", "path").stdout.strip())
    assert path == tmp_path / "home" / "config.toml"
    path.parent.mkdir()
    path.write_text("# mine\n[aws]\nregion = 'eu-west-1'\n")
    assert command("config", "set", "part-size", "16MiB").status == 0
    assert command("config", "set", "max_concurrency", "32").status == 0
    assert "# mine" in path.read_text()
    monkeypatch.setenv("DXFLOW_MAX_CONCURRENCY", "64")
    rows = {row["name"]: row for row in _lines(command("config", "show", "--json").stdout)}
    assert (rows["part_size"]["value"], rows["part_size"]["origin"]) == (16 << 20, str(path))
    assert (rows["max_concurrency"]["value"], rows["max_concurrency"]["origin"]) == (64, "DXFLOW_MAX_CONCURRENCY")
    assert command("config", "set", "part_size", "1").status == 2
    outcome = command("config", "set", "part_sise", "16MiB")
    assert (outcome.status, "part_size" in outcome.stderr) == (2, True)
    assert command("config", "unset", "part_size").status == 0
    assert command("config", "unset", "part_size").status == 3
    assert "region" in path.read_text()
    assert "no account" in command("whoami").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(command: Command, shell: str) -> None:
    """A script that knows the commands."""
    outcome = command("completion", shell)
    assert outcome.status == 0
    assert "presign" in outcome.stdout


_COMPLETES = {
    "bash": (
        ["--norc", "-c"],
        "source {}; complete -p dxa; COMP_WORDS=(dxa pres); COMP_CWORD=1; _dxflow_async; echo $COMPREPLY",
        ["complete -F _dxflow_async dxa", "presign"],
    ),
    "zsh": (
        ["-f", "-c"],
        "autoload -Uz compinit; compinit -u; source {}; print -l $_comps[dxa] $_comps[dxflow-async]",
        ["_cyclopts_dxflow-async", "_cyclopts_dxflow-async"],
    ),
    "fish": (
        ["--no-config", "-c"],
        'source {}; for name in dxa dxflow-async; complete -C "$name pres" | string split -f 1 \\t; end',
        ["presign", "presign"],
    ),
}
"""Of each shell, its options, what it is told, and what it says."""


@pytest.mark.parametrize("shell", list(_COMPLETES))
def test_a_shell_completes_both_names(command: Command, tmp_path: Path, shell: str) -> None:
    """The shell itself loads the script without a complaint, and completes `dxa` as `dxflow-async`."""
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed")
    options, told, said = _COMPLETES[shell]
    script = tmp_path / "script"
    script.write_text(command("completion", shell).stdout)
    line = [program, *options, told.format(script)]
    home = {"HOME": str(tmp_path), "TERM": "dumb"}
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=30, env=home)
    assert (done.returncode, done.stderr, done.stdout.split("\n")) == (0, "", [*said, ""])


def test_rm_asks_and_previews(command: Command, bucket: str, configured: SeaweedFS) -> None:
    """`-n` deletes nothing, `-f` takes what is not there for deleted, and a pattern deletes what it matches."""
    place = f"aws:/{bucket}"
    dry = command("rm", "-r", "-n", f"{place}/run-1", f"{place}/run")
    assert dry.stdout.splitlines()[-1] == "3 objects, 9 bytes; nothing was deleted"
    assert command("rm", f"{place}/none").status == 3
    assert command("rm", "-f", f"{place}/none").status == 0
    assert command("rm", f"{place}/run-*/*.csv").stdout == "2 deleted\n"
    configured.client.put_object(Bucket=bucket, Key="run-1", Body=b"an object with the name of a directory")
    assert command("rm", "-r", f"{place}/run-1/").stdout == "1 deleted\n"
    configured.client.put_object(Bucket=bucket, Key="run-1/again", Body=b"1")
    assert command("rm", "-r", f"{place}/run-1").stdout == "2 deleted\n"
    left = [each["Key"] for each in configured.client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == ["run", "run-2/deep/c.csv"]


def test_mkdir_where_directories_are_real(command: Command, bucket: str, tmp_path: Path) -> None:
    """On disks it is made with those above it; an object store says that it has none."""
    assert command("mkdir", "./new/directory", "./new/directory").status == 0
    assert (tmp_path / "new" / "directory").is_dir()
    outcome = command("mkdir", f"aws:/{bucket}/directory")
    assert (outcome.status, "write an object below it" in outcome.stderr) == (1, True)


def test_presign_takes_durations_and_methods(command: Command, bucket: str) -> None:
    """A week in words, and a URL that uploads; other methods are refused."""
    place = f"aws:/{bucket}/run-1/a.csv"
    assert "X-Amz-Expires=604800&" in command("presign", place, "--expires", "7d").stdout
    assert command("presign", f"aws:/{bucket}/new", "--method", "PUT").status == 0
    assert command("presign", place, "--method", "PATCH").status == 2
    assert command("presign", place, "--expires", "soon").status == 2


def test_starting_is_quick(tmp_path: Path) -> None:
    """The help and a local listing load no HTTP client and no SDK, and take a fraction of a second."""
    script = """
        import sys, time
        from dxflow_async.cli import main
        assert main(["help", "ls"]) == 0
        heavy = {"botocore", "aioboto3", "azure", "google", "asyncssh", "aiohttp.web"}
        assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
        assert main(["ls", "."]) == 0
        assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
    """
    from tests.python_processes import run_script

    started = time.monotonic()
    outcome = run_script(script, clean_environment(tmp_path), directory=tmp_path)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert time.monotonic() - started < 60
