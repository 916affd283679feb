"""Options that select items by a list of names, by age and by size, in every command that has them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from dxflow_async.plurals import counted
from tests.cli.called_command import Command
from tests.servers.weed import SeaweedFS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An old small file, an old large one, and a new small and a new large one below a directory."""
    tree = tmp_path / "tree"
    for name, size, days in (
        ("old.txt", 10, 9),
        ("old.bin", 5000, 9),
        ("sub/new.txt", 10, 0),
        ("sub/new.bin", 5000, 0),
    ):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        then = time.time() - days * 86400
        os.utime(path, (then, then))
    return tree


@pytest.fixture
def bucket(configured: SeaweedFS, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own."""
    return configured.create_bucket(f"select-{abs(hash(request.node.nodeid)) % 10**8}")


def _names(directory: Path) -> set[str]:
    return {str(each.relative_to(directory)) for each in directory.rglob("*") if each.is_file()}


_CASES = [
    (("--newer", "2d"), {"sub/new.txt", "sub/new.bin"}),
    (("--older", "2d"), {"old.txt", "old.bin"}),
    (("--larger", "5000"), {"old.bin", "sub/new.bin"}),
    (("--smaller", "5000"), {"old.txt", "sub/new.txt"}),
    (("--larger", "1KiB", "--newer", "2d"), {"sub/new.bin"}),
    (("--older", "2d", "--exclude", "*.bin"), {"old.txt"}),
    (("--newer", "2000-01-01", "--include", "sub/"), {"sub/new.txt", "sub/new.bin"}),
    (("--include", "re:sub/.*", "--exclude", r"re:(.*/)?\w+\.bin"), {"sub/new.txt"}),
]


@pytest.mark.parametrize(("options", "names"), _CASES)
def test_every_command_selects_the_same(
    command: Command, tree: Path, tmp_path: Path, options: tuple[str, ...], names: set[str]
) -> None:
    """`ls`, `du`, `cp`, `cp -n`, `sync`, `check`, `mv` and `rm` agree on age and size."""
    listed = command("ls", "-r", "--json", f"{tree}/", *options)
    assert {json.loads(line)["location"] for line in listed.stdout.splitlines()} == {f"{tree}/{name}" for name in names}
    size = sum((tree / name).stat().st_size for name in names)
    assert json.loads(command("du", "--json", str(tree), *options).stdout)["size"] == size
    preview = command("cp", "-n", "--json", f"{tree}/", f"{tmp_path}/none/", *options)
    assert json.loads(preview.stdout.splitlines()[-1])["objects"] == len(names)
    assert command("cp", "-q", f"{tree}/", f"{tmp_path}/copied/", *options).status == 0
    assert _names(tmp_path / "copied") == names
    assert command("check", "-q", str(tree), str(tmp_path / "copied"), *options).status == 0
    assert command("sync", "-q", str(tree), str(tmp_path / "synced"), *options).status == 0
    assert _names(tmp_path / "synced") == names
    assert command("mv", "-q", f"{tmp_path}/synced/", f"{tmp_path}/moved/", *options).status == 0
    assert _names(tmp_path / "moved") == names
    before = _names(tree)
    assert f"{counted(len(names), 'object')}, " in command("rm", "-r", "-n", f"{tree}/", *options).stdout
    assert command("rm", "-r", f"{tree}/", *options).stdout == f"{len(names)} deleted\n"
    assert _names(tree) == before - names


def test_a_sync_keeps_what_a_condition_leaves_out(command: Command, tree: Path, tmp_path: Path) -> None:
    """With --delete, neither a file that the source has nor one of the destination outside the condition is deleted."""
    copied = tmp_path / "copied"
    assert command("cp", "-q", f"{tree}/", f"{copied}/").status == 0
    (copied / "extra.txt").write_bytes(bytes(3))
    (copied / "extra.bin").write_bytes(bytes(9000))
    (tree / "old.bin").write_bytes(bytes(6000))
    assert command("sync", "-q", str(tree), str(copied), "--delete", "--larger", "1KiB").status == 0
    assert _names(copied) == {*_names(tree), "extra.txt"}
    assert (copied / "old.bin").stat().st_size == 6000


def test_a_list_of_files(command: Command, tree: Path, tmp_path: Path, bucket: str) -> None:
    """Names select files and whole directories, also from standard input; a name that is not there fails alone."""
    (tmp_path / "list").write_text("old.txt\n\nsub\n")
    assert command("cp", "-q", f"{tree}/", f"aws:/{bucket}/t/", "--files-from", str(tmp_path / "list")).status == 0
    listed = command("ls", "-r", f"aws:/{bucket}/t/").stdout
    assert [line.split()[-1] for line in listed.splitlines()] == ["old.txt", "sub/new.bin", "sub/new.txt"]
    (tmp_path / "list").write_bytes(b"sub/new.txt\0nowhere.txt\0")
    outcome = command("cp", f"aws:/{bucket}/t/", f"{tmp_path}/back/", "--files-from", str(tmp_path / "list"))
    assert outcome.status == 3
    assert "nowhere.txt" in outcome.stderr
    assert _names(tmp_path / "back") == {"sub/new.txt"}
    for name in ("sync", "check"):
        outcome = command(name, str(tree), str(tmp_path / "back"), "--files-from", str(tmp_path / "list"))
        assert outcome.status in (1, 3)
        assert "nowhere.txt" in outcome.stderr + outcome.stdout
    outcome = command("rm", "-r", f"aws:/{bucket}/t/", "--files-from", str(tmp_path / "list"))
    assert (outcome.status, outcome.stdout) == (3, "1 deleted\n")
    assert command("rm", "-r", "-f", f"aws:/{bucket}/t/", "--files-from", str(tmp_path / "list")).status == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_list_with_a_byte_order_mark(command: Command, tree: Path, encoding: str) -> None:
    """A list that an editor or a shell of Windows wrote selects the first name, too; one that is damaged nothing."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    data = f"{mark}old.txt\r\nsub\r\n".encode(encoding)
    Path("list").write_bytes(data)
    assert command("cp", "-q", f"{tree}/", "new/", "--files-from", "list").status == 0
    assert _names(Path("new")) == {"old.txt", "sub/new.bin", "sub/new.txt"}
    if encoding != "utf-8-sig":
        Path("list").write_bytes(data[:-1])
        outcome = command("rm", "-r", "new/", "--files-from", "list")
        assert (outcome.status, "--files-from list begins as UTF-16" in outcome.stderr) == (2, True)
        assert _names(Path("new")) == {"old.txt", "sub/new.bin", "sub/new.txt"}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--newer", "tomorrow"), "an age such as"),
        (("--larger", "big"), "a size such as"),
        (("--files-from", "nowhere.txt"), "cannot be read"),
        (("--include", ""), "must be a pattern"),
    ],
)
def test_wrong_conditions_are_status_2(command: Command, tree: Path, options: tuple[str, ...], word: str) -> None:
    """Nothing is done."""
    for name, places in (("cp", (f"{tree}/", "new/")), ("ls", (str(tree),)), ("rm", ("-r", f"{tree}/"))):
        outcome = command(name, *places, *options)
        assert (outcome.status, word in outcome.stderr) == (2, True)
    assert len(_names(tree)) == 4
    assert not Path("new").exists()


def test_names_above_the_directory_are_refused(command: Command, tree: Path) -> None:
    """A list of files names nothing outside of the source."""
    Path("list").write_text("../secret\n")
    outcome = command("cp", f"{tree}/", "new/", "--files-from", "list")
    assert (outcome.status, "relative to the source directory" in outcome.stderr) == (2, True)
