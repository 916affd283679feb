"""`cp` and `mv`: several sources, patterns, filters, standard streams, previews, and what is replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.called_command import Command, s3_variables
from tests.python_processes import clean_environment
from tests.servers.weed import SeaweedFS


@pytest.fixture
def bucket(configured: SeaweedFS, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own."""
    return configured.create_bucket(f"copying-{abs(hash(request.node.nodeid)) % 10**8}")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three tables and a note, in two directories."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for name in ("a.csv", "b.csv", "note.txt", "sub/c.csv"):
        (tree / name).write_bytes(name.encode())
    return tree


def keys(server: SeaweedFS, bucket: str) -> list[str]:
    """The keys of a bucket."""
    return [each["Key"] for each in server.client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_several_sources_go_into_a_directory(
    command: Command, configured: SeaweedFS, bucket: str, tree: Path, tmp_path: Path
) -> None:
    """Files and directories beside each other; the destination must be a directory, and nothing is sent otherwise."""
    assert tree.exists()
    assert command("cp", "tree/a.csv", "tree/sub", f"aws:/{bucket}/x").status == 2
    assert keys(configured, bucket) == []
    assert command("cp", "tree/a.csv", "tree/sub", "tree/note.txt", f"aws:/{bucket}/x/").status == 0
    assert keys(configured, bucket) == ["x/a.csv", "x/note.txt", "x/sub/c.csv"]
    (tmp_path / "there").mkdir()
    assert command("cp", f"aws:/{bucket}/x/a.csv", f"aws:/{bucket}/x/sub", "tree/b.csv", "there").status == 0
    assert sorted(path.name for path in (tmp_path / "there").rglob("*")) == ["a.csv", "b.csv", "c.csv", "sub"]


def test_a_source_that_is_missing_fails_alone(command: Command, configured: SeaweedFS, bucket: str, tree: Path) -> None:
    """Of several sources; two of one name are refused, so that none replaces the other."""
    (tree / "sub" / "a.csv").write_bytes(b"another")
    outcome = command("cp", "tree/a.csv", "tree/none", "tree/b.csv", f"aws:/{bucket}/")
    assert (outcome.status, "tree/none" in outcome.stderr) == (3, True)
    assert keys(configured, bucket) == ["a.csv", "b.csv"]
    clash = command("cp", "tree/a.csv", "tree/sub/a.csv", f"aws:/{bucket}/clash/")
    assert clash.status == 1
    assert keys(configured, bucket) == ["a.csv", "b.csv", "clash/a.csv"]
    outcome = command("cp", f"aws:/{bucket}/a.csv", f"aws:/{bucket}/none", f"aws:/{bucket}/out/")
    assert (outcome.status, "/none" in outcome.stderr) == (3, True)
    assert "out/a.csv" in keys(configured, bucket)


def test_remote_patterns(command: Command, configured: SeaweedFS, bucket: str, tree: Path, tmp_path: Path) -> None:
    """What matches is copied or moved, and nothing else; a pattern that matches nothing is status 3."""
    assert tree.exists()
    assert command("cp", "tree/", f"aws:/{bucket}/top/").status == 0
    assert command("cp", f"aws:/{bucket}/top/*.csv", "down/").status == 0
    assert sorted(path.name for path in (tmp_path / "down").iterdir()) == ["a.csv", "b.csv"]
    assert command("cp", f"aws:/{bucket}/t*/s*", "dirs/").status == 0
    assert (tmp_path / "dirs" / "sub" / "c.csv").read_bytes() == b"sub/c.csv"
    assert command("cp", f"aws:/{bucket}/top/*.csv", "one-name").status == 2
    assert not (tmp_path / "one-name").exists()
    assert command("cp", f"aws:/{bucket}/top/none*", "down/").status == 3
    assert command("mv", f"aws:/{bucket}/top/**/*.csv", f"aws:/{bucket}/moved/").status == 0
    assert keys(configured, bucket) == ["moved/a.csv", "moved/b.csv", "moved/c.csv", "top/note.txt"]


def test_filters(command: Command, configured: SeaweedFS, bucket: str, tree: Path, tmp_path: Path) -> None:
    """`--include` and `--exclude` choose below directories, both ways; a move leaves the others."""
    assert command("cp", "tree/", f"aws:/{bucket}/", "--include", "*.csv", "--exclude", "b*").status == 0
    assert keys(configured, bucket) == ["a.csv", "sub/c.csv"]
    assert command("cp", f"aws:/{bucket}/", "down", "--exclude", "sub/").status == 0
    assert [path.name for path in (tmp_path / "down").iterdir()] == ["a.csv"]
    assert command("mv", "tree", "moved", "--include", "*.csv").status == 0
    assert sorted(path.name for path in tree.rglob("*")) == ["note.txt"]
    assert sorted(path.name for path in (tmp_path / "moved").rglob("*.*")) == ["a.csv", "b.csv", "c.csv"]


def test_a_preview_changes_nothing(
    command: Command, configured: SeaweedFS, bucket: str, tree: Path, tmp_path: Path
) -> None:
    """It names each object, by the same choice."""
    outcome = command("mv", "-n", "tree", f"aws:/{bucket}/", "--include", "*.csv")
    assert outcome.status == 0
    assert [line.split()[-1] for line in outcome.stdout.splitlines()[:-1]] == [
        "tree/a.csv", "tree/b.csv", "tree/sub/c.csv"
    ]  # fmt: skip
    assert outcome.stdout.splitlines()[-1].startswith("3 objects, 19 bytes")
    assert keys(configured, bucket) == []
    assert (tree / "a.csv").exists()
    rows = [json.loads(line) for line in command("cp", "-n", "--json", "tree/a.csv", "copy").stdout.splitlines()]
    assert [row["type"] for row in rows] == ["action", "total"]
    assert not (tmp_path / "copy").exists()
    assert command("cp", "-n", "none", "copy").status == 3


def test_standard_streams(configured: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """`-` is standard input of any length, and standard output; what makes no sense is refused."""
    environment = clean_environment(tmp_path / "home", **s3_variables(configured))

    def run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        program = [sys.executable, "-m", "dxflow_async", "cp", *arguments]
        return subprocess.run(program, env=environment, input=data, capture_output=True, check=False, cwd=tmp_path)

    data = os.urandom(20 << 20)
    assert run("-", f"aws:/{bucket}/stream", data=data).returncode == 0
    assert run(f"aws:/{bucket}/stream", "-").stdout == data
    assert run("-", f"aws:/{bucket}/", data=b"1").returncode == 2
    assert run("-", "-").returncode == 2
    assert run("-", f"aws:/{bucket}/stream", "--no-overwrite", data=b"other").returncode == 0
    assert run(f"aws:/{bucket}/stream", "-").stdout == data


def test_what_is_replaced(command: Command, configured: SeaweedFS, bucket: str, tree: Path) -> None:
    """`--no-overwrite` keeps what is there, `--update` replaces what is older."""
    assert command("cp", "tree/", f"aws:/{bucket}/").status == 0
    (tree / "a.csv").write_bytes(b"new")
    os.utime(tree / "a.csv", (1, 1))
    assert command("cp", "tree/", f"aws:/{bucket}/", "--update").status == 0
    assert command("cp", "tree/", f"aws:/{bucket}/", "--no-overwrite").status == 0
    assert configured.client.get_object(Bucket=bucket, Key="a.csv")["Body"].read() == b"a.csv"
    os.utime(tree / "a.csv", (2**31, 2**31))
    assert command("cp", "tree/", f"aws:/{bucket}/", "--update").status == 0
    assert configured.client.get_object(Bucket=bucket, Key="a.csv")["Body"].read() == b"new"
    assert command("cp", "tree/", f"aws:/{bucket}/", "--update", "--no-overwrite").status == 2


def test_what_is_stored_with_an_object(command: Command, configured: SeaweedFS, bucket: str, tree: Path) -> None:
    """Headers and metadata by options; a disk keeps none of them and says so before anything is written."""
    options = ("--content-type", "text/x", "--cache-control", "no-store", "--meta", "team=geo")
    assert command("cp", "tree/a.csv", f"aws:/{bucket}/", *options).status == 0
    head = configured.client.head_object(Bucket=bucket, Key="a.csv")
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]["team"]) == ("text/x", "no-store", "geo")
    assert command("cp", "tree/a.csv", "copy", "--cache-control", "no-store").status == 1
    assert not (tree.parent / "copy").exists()
    assert command("cp", "tree/a.csv", f"aws:/{bucket}/", "--meta", "team").status == 2


def test_symbolic_links(command: Command, configured: SeaweedFS, bucket: str, tree: Path, tmp_path: Path) -> None:
    """Links below a directory are followed, skipped, or kept as rclone keeps them and made links again."""
    (tree / "link.csv").symlink_to("a.csv")
    place = f"aws:/{bucket}"
    for how, names in (("follow", ["link.csv"]), ("skip", []), ("preserve", ["link.csv.rclonelink"])):
        assert command("cp", "-q", f"{tree}/", f"{place}/{how}/", "--symlinks", how).status == 0
        assert [key for key in keys(configured, bucket) if "link" in key] == [f"{how}/{name}" for name in names]
        assert command("rm", "-r", "-f", "-q", f"{place}/{how}/", "--exclude", "*.rclonelink").status == 0
    assert command("mv", "-q", f"{place}/preserve/", f"{tmp_path}/back/", "--symlinks", "preserve").status == 0
    assert os.readlink(tmp_path / "back/link.csv") == "a.csv"
    for arguments, word in (
        (("cp", "-n", f"{tree}/", f"{place}/", "--symlinks", "skip"), "--dry-run"),
        (("cp", "-", f"{place}/x", "--symlinks", "skip"), "stream"),
        (("cp", f"{tree}/", f"{place}/", "--symlinks", "keep"), "--symlinks"),
    ):
        outcome = command(*arguments)
        assert outcome.status == 2
        assert word in outcome.stderr
    assert keys(configured, bucket) == []


def test_pace(command: Command, bucket: str, tree: Path) -> None:
    """The settings' names without `max_`, for one command; what is not allowed is named."""
    assert tree.exists()
    options = ("--concurrency", "2", "--bandwidth", "50MiB", "--part-size", "16MiB")
    assert command("cp", "tree/", f"aws:/{bucket}/", *options).status == 0
    outcome = command("cp", "tree/", f"aws:/{bucket}/", "--part-size", "1")
    assert (outcome.status, "part_size" in outcome.stderr) == (2, True)
    assert command("sync", "tree", f"aws:/{bucket}/", "--bandwidth", "fast").status == 2


def test_a_job_of_several_sources_is_resumed(command: Command, tmp_path: Path) -> None:
    """With all of its sources and its filter."""
    for name in ("one/a", "one/skipped", "two/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "goal" / "two" / "b").mkdir(parents=True)
    (tmp_path / "goal" / "one" / "a").mkdir(parents=True)
    assert command("cp", "one", "two", "goal", "--exclude", "skipped").status == 1
    for name in ("two/b", "one/a"):
        (tmp_path / "goal" / name).rmdir()
    (job,) = [json.loads(line)["id"] for line in command("jobs", "list", "--json").stdout.splitlines()]
    assert command("jobs", "resume", job).status == 0
    assert sorted(path.name for path in (tmp_path / "goal").rglob("*") if path.is_file()) == ["a", "b"]


def test_the_flags_of_other_commands_are_accepted(command: Command, tree: Path) -> None:
    """`cp -r` and `mv -r` do what they do without it, and `ls -l` and `ls -R` what users of ls expect."""
    assert command("cp", "-r", "-q", f"{tree}/", "copied/").status == 0
    assert command("mv", "-r", "-q", "copied/", "moved/").status == 0
    assert command("ls", "-l", "-R", "moved/").stdout == command("ls", "-r", "moved/").stdout != ""
    outcome = command("cp", "moved/", "-", "--json")
    assert (outcome.status, "cat --json" in outcome.stderr) == (2, True)
