"""`ls`, `cat`, `rm` and `presign`."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from tests.cli.called_command import Command
from tests.servers.weed import SeaweedFS

_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture(autouse=True)
def stored(signed_in: Command, tmp_path: Path) -> None:
    """bucket/a.txt, bucket/sub/b.txt and a hostile name, in the account's storage."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_bytes(b"aaa")
    (tree / "sub" / "b.txt").write_bytes(b"bb")
    (tree / "z\x1b[2J").write_bytes(b"")
    assert signed_in("cp", "tree/", "aws:/bucket/").status == 0


def test_ls_prints_the_documented_table(signed_in: Command) -> None:
    """A line an item; a name that would command the terminal is escaped."""
    outcome = signed_in("ls", "aws:/bucket/")
    assert outcome.status == 0
    first, second, third = outcome.stdout.splitlines()
    assert re.fullmatch(rf"-          3 {_TIME} a\.txt", first)
    assert re.fullmatch(rf"d +\d+ {_TIME} sub", second)
    assert re.fullmatch(rf"-          0 {_TIME} z\\x1b\[2J", third)


@pytest.mark.parametrize("option", ["-r", "--recursive"])
def test_ls_recursive_prints_paths(signed_in: Command, option: str) -> None:
    """Everything below, by its path below."""
    lines = signed_in("ls", option, "aws:/bucket/").stdout.splitlines()
    assert [line.split(maxsplit=4)[-1] for line in lines] == ["a.txt", "sub/b.txt", "z\\x1b[2J"]


@pytest.mark.parametrize("arguments", [("ls",), ("ls", "-r")])
def test_ls_of_an_object_and_of_nothing(signed_in: Command, arguments: tuple[str, ...]) -> None:
    """An object is listed alone; what is not there is status 3."""
    assert signed_in(*arguments, "aws:/bucket/a.txt").stdout.endswith(" a.txt\n")
    outcome = signed_in(*arguments, "aws:/bucket/none")
    assert (outcome.status, outcome.stdout) == (3, "")
    assert "/bucket/none" in outcome.stderr


def test_cat_writes_the_bytes(signed_in: Command) -> None:
    """Nothing before, nothing after."""
    assert signed_in("cat", "aws:/bucket/sub/b.txt").stdout == "bb"
    assert signed_in("cat", "aws:/bucket/none").status == 3


def test_rm_deletes_objects(signed_in: Command) -> None:
    """Several at once; the number is told, unless quiet."""
    assert signed_in("rm", "aws:/bucket/a.txt", "aws:/bucket/sub/b.txt").stdout == "2 deleted\n"
    assert "a.txt" not in signed_in("ls", "-r", "aws:/bucket/").stdout


def test_rm_of_a_directory_must_be_said(signed_in: Command) -> None:
    """With a slash and without --recursive it is refused; with it, all below goes."""
    outcome = signed_in("rm", "aws:/bucket/sub/")
    assert outcome.status == 2
    assert "--recursive" in outcome.stderr
    assert signed_in("rm", "--recursive", "--quiet", "aws:/bucket/sub/").stdout == ""
    assert "sub" not in signed_in("ls", "-r", "aws:/bucket/").stdout


def test_local_paths_are_places(signed_in: Command, tmp_path: Path) -> None:
    """`ls`, `cat`, `stat` and `rm` take them; what they cannot be used for says so."""
    listed = signed_in("ls", "-r", "./tree/").stdout
    assert [line.split()[-1] for line in listed.splitlines()] == ["a.txt", "sub/b.txt", "z\\x1b[2J"]
    assert signed_in("cat", "tree/a.txt", str(tmp_path / "tree/sub/b.txt")).stdout == "aaabb"
    assert f"location: {tmp_path}/tree/a.txt" in signed_in("stat", f"{tmp_path}/tree/a.txt").stdout
    assert signed_in("cat", "./tree").status == 2
    assert signed_in("rm", "./tree").status == 2
    assert signed_in("presign", "./tree/a.txt").status == 1
    assert signed_in("rm", "./tree/a.txt").stdout == "1 deleted\n"
    assert signed_in("rm", "-r", "./tree/sub").status == 0
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["z\x1b[2J"]


def test_rm_of_local_directories_follows_no_links(command: Command, tmp_path: Path) -> None:
    """A link goes, and never what it leads to."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kept").write_bytes(b"1")
    (tmp_path / "gone" / "sub").mkdir(parents=True)
    (tmp_path / "gone" / "sub" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "gone" / "file-link").symlink_to(tmp_path / "other" / "kept")
    assert command("rm", "-r", "gone").status == 0
    assert not (tmp_path / "gone").exists()
    assert (tmp_path / "other" / "kept").read_bytes() == b"1"


@pytest.mark.parametrize("location", ["aws:/bucket/none", "aws:/none/", "aws:/bucket/none/", "aws:/bucket/a.txt/"])
def test_rm_of_what_is_not_there_is_status_3(signed_in: Command, location: str) -> None:
    """It says so, also when it is quiet; what else was named is deleted all the same."""
    outcome = signed_in("rm", "--recursive", "--quiet", location, "aws:/bucket/sub/b.txt")
    assert (outcome.status, outcome.stdout) == (3, "")
    assert location.removeprefix("aws:") in outcome.stderr
    left = signed_in("ls", "--recursive", "aws:/bucket/").stdout
    assert "a.txt" in left
    assert "b.txt" not in left


def test_rm_takes_directories_with_or_without_a_slash(signed_in: Command) -> None:
    """Without --recursive nothing of what was named goes; with it the directory does, and not what starts alike."""
    assert signed_in("cp", "tree/a.txt", "aws:/bucket/submarine").status == 0
    outcome = signed_in("rm", "aws:/bucket/a.txt", "aws:/bucket/sub")
    assert outcome.status == 2
    assert "a.txt" in signed_in("ls", "aws:/bucket/").stdout
    assert signed_in("rm", "--recursive", "aws:/bucket/sub").status == 0
    left = signed_in("ls", "--recursive", "aws:/bucket/").stdout
    assert "sub/" not in left
    assert "submarine" in left


def test_rm_at_a_cloud(command: Command, configured: SeaweedFS) -> None:
    """Objects, prefixes and buckets: nothing is said to be deleted that was not there, and no bucket is emptied."""
    bucket = configured.create_bucket("removed")
    for key in ("a", "dir/b", "dir/c", "directory"):
        configured.client.put_object(Bucket=bucket, Key=key, Body=b"1")
    place = f"aws:/{bucket}"
    assert command("rm", f"{place}/none").status == 3
    assert command("rm", f"{place}/dir").status == 2
    assert command("rm", "-r", place).status == 1
    assert command("rm", "-r", f"{place}/none/", f"{place}-none/x").status == 3
    outcome = command("rm", "-r", f"{place}/dir", f"{place}/none", f"{place}/a")
    assert (outcome.status, outcome.stdout) == (3, "3 deleted\n")
    assert f"/{bucket}/none" in outcome.stderr
    left = [each["Key"] for each in configured.client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == ["directory"]
    assert command("rm", "-r", f"{place}/").status == 0
    assert command("rm", "-r", f"{place}/").status == 3


def test_a_failure_counts_more_than_what_is_not_there(signed_in: Command) -> None:
    """Of several, one that failed makes it status 1, wherever it stands."""
    names = ["aws:/bucket/none", f"aws:/bucket/{'x' * 300}", "aws:/bucket/none-either", "aws:/bucket/a.txt"]
    outcome = signed_in("rm", *names)
    assert (outcome.status, outcome.stdout) == (1, "1 deleted\n")
    assert len(outcome.stderr.splitlines()) >= 3


def test_the_help_tells_of_the_exit_status(command: Command) -> None:
    """What a script may rely on."""
    for arguments in (("--help",), ("ls", "--help"), ("rm", "--help"), ("cp", "--help")):
        assert "3 there is no such file, object, unit or job" in " ".join(command(*arguments).stdout.split())


@pytest.mark.parametrize("name", ["ls", "cat", "rm", "presign"])
@pytest.mark.parametrize("location", ["b2://bucket/a.txt", "asw:/bucket/a.txt", "report:2024.csv"])
def test_an_unknown_place_is_status_2(signed_in: Command, name: str, location: str) -> None:
    """What to write is told, and nothing is done."""
    outcome = signed_in(name, location)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "not a known place" in outcome.stderr
    assert "a.txt" in signed_in("ls", "aws:/bucket/").stdout


def test_rm_of_nothing_is_status_2(command: Command) -> None:
    """Nothing was named."""
    assert command("rm").status == 2


def test_presign_without_urls_is_status_1(signed_in: Command) -> None:
    """A local directory in S3's place has none."""
    assert signed_in("presign", "aws:/bucket/a.txt").status == 1


def test_presign_of_what_is_not_there_is_status_3(command: Command, configured: SeaweedFS) -> None:
    """No URL is printed that leads to nothing; a directory has none."""
    bucket = configured.create_bucket("presigned-none")
    configured.client.put_object(Bucket=bucket, Key="dir/name", Body=b"bytes")
    for location, status in [(f"aws:/{bucket}/none", 3), ("aws:/no-such-bucket/x", 3), (f"aws:/{bucket}/dir", 2)]:
        outcome = command("presign", location)
        assert (outcome.status, outcome.stdout) == (status, "")


def test_presign_prints_a_url_that_works(command: Command, configured: SeaweedFS) -> None:
    """Anybody may fetch it, without an account."""
    bucket = configured.create_bucket("presigned")
    configured.client.put_object(Bucket=bucket, Key="name", Body=b"bytes")
    url = command("presign", f"aws:/{bucket}/name", "--expires", "60").stdout.strip()
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"bytes"
    assert "X-Amz-Expires=60&" in f"{url}&"
