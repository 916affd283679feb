"""`demo`: the main job, whole."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from dxflow_async.cli import demo as demo_module
from dxflow_async.cli.demo_tree import compare_trees, make_tree
from tests.cli.called_command import Command, s3_variables
from tests.python_processes import RunningScript, clean_environment
from tests.servers.weed import SeaweedFS


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return directory


def test_the_tree_comes_back_and_nothing_is_left(command: Command, home: Path, temporary: Path) -> None:
    """Up, listed, down, every byte compared; a summary of both ways; no file left, also not in the user's home."""
    outcome = command("demo", "--files", "300", "--seed", "7")
    assert outcome.status == 0, outcome.stderr
    out = outcome.stdout
    assert re.search(r"^upload: moving: (\d+) of \1 files", out, re.MULTILINE)
    assert len(re.findall(r"^[-d] +\d+ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d .", out, re.MULTILINE)) == 12
    for column in ("items", "bytes", "seconds", "goodput", "retries", "verified", "upload", "download", "compare"):
        assert column in out
    assert re.search(r"compare .* (\d+) of \1 ", out)
    assert re.search(r"^upload: all verified; download: all verified$", out, re.MULTILINE)
    assert re.search(r"^all 3\d\d files came back", out, re.MULTILINE)
    assert list(temporary.iterdir()) == []
    assert not home.exists()


def test_a_difference_is_status_1(command: Command, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is what decides."""

    def spoiled(left: Path, right: Path) -> object:
        (right / "samples/batch-000/sample-000003.dat").write_bytes(b"spoiled")
        return compare_trees(left, right)

    monkeypatch.setattr(demo_module, "compare_trees", spoiled)
    outcome = command("demo", "--files", "10")
    assert outcome.status == 1
    assert "1 names differ: samples/batch-000/sample-000003.dat" in outcome.stderr
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("line", ["making", pytest.param("made", marks=pytest.mark.long), "upload:"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, line: str) -> None:
    """Status 130 and an empty temporary directory, whenever it comes."""
    environment = clean_environment(tmp_path / "home", TMPDIR=str(tmp_path), PYTHONUNBUFFERED="1")
    # Not strict: Ctrl-C between opening a file and its `with` is a ResourceWarning in any program.
    module = ("dxflow_async.cli", "demo", "--files", "2000")
    with RunningScript("", environment, module=module, strict=False) as script:
        script.wait_for_line(line)
        script.interrupt()
        outcome = script.wait()
    assert outcome.status == 130
    assert "Traceback" not in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_runs_against_a_bucket_and_cleans_it(command: Command, configured: SeaweedFS, temporary: Path) -> None:
    """A real S3 server takes the whole tree, every item is verified, and the bucket is empty after."""
    bucket = configured.create_bucket("demo-bucket")
    outcome = command("demo", "--files", "100", "--bucket", bucket)
    assert outcome.status == 0, outcome.stderr
    assert "Contents" not in configured.client.list_objects_v2(Bucket=bucket)
    assert list(temporary.iterdir()) == []


def test_ctrl_c_cleans_the_bucket(configured: SeaweedFS, tmp_path: Path) -> None:
    """No object and no upload in parts is left at the server."""
    bucket = configured.create_bucket("demo-interrupted")
    variables = {**s3_variables(configured), "DXFLOW_MAX_BANDWIDTH": "40MiB", "PYTHONUNBUFFERED": "1"}
    environment = clean_environment(tmp_path / "home", **variables)
    module = ("dxflow_async.cli", "demo", "--files", "20", "--bucket", bucket)
    with RunningScript("", environment, module=module) as script:
        script.wait_for_line("upload:")
        script.interrupt()
        assert script.wait().status == 130
    assert "Contents" not in configured.client.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in configured.client.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize(
    ("arguments", "word"), [(("--files", "2"), "files"), (("--bucket", "b"), "DXFLOW_AWS_ENDPOINT")]
)
def test_wrong_options_are_status_2(command: Command, arguments: tuple[str, ...], word: str) -> None:
    """And say what is right."""
    outcome = command("demo", *arguments)
    assert outcome.status == 2
    assert word in outcome.stderr


def test_the_same_seed_makes_the_same_tree(tmp_path: Path) -> None:
    """To the byte; another seed makes another one."""
    made = [make_tree(tmp_path / name, 20, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert made[0] == made[1] != made[2]
    assert compare_trees(tmp_path / "a", tmp_path / "b") == dataclasses.replace(made[0], different=[])
    assert compare_trees(tmp_path / "a", tmp_path / "c").different


def test_the_tree_has_what_goes_wrong_elsewhere(tmp_path: Path) -> None:
    """Empty files and directories, 100 MiB and more, many parts, odd names."""
    make_tree(tmp_path, 20, 1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    sizes = [path.stat().st_size for path in files]
    names = "".join(path.name for path in files)
    assert 0 in sizes
    assert max(sizes) > 100 << 20
    assert all(character in names for character in " +%#?*é数🚀".replace("é", "e\u0301"))
    assert any(path.name.startswith(".") for path in files)
    assert any(path.is_dir() and not list(path.iterdir()) for path in tmp_path.rglob("*"))


def test_every_difference_is_found(tmp_path: Path) -> None:
    """A changed byte, a file or a directory less or more, a file cut short."""
    left, right = tmp_path / "left", tmp_path / "right"
    for name in ("same", "changed", "cut", "less"):
        left.mkdir(exist_ok=True)
        (left / name).write_bytes(b"0123456789")
    (left / "empty").mkdir()
    shutil.copytree(left, right)
    (right / "changed").write_bytes(b"0123456780")
    (right / "cut").write_bytes(b"012345678")
    (right / "less").unlink()
    (right / "more").write_bytes(b"")
    (right / "empty").rmdir()
    compared = compare_trees(left, right)
    assert sorted(compared.different) == ["changed", "cut", "empty/", "less", "more"]
    assert (compared.files, compared.bytes) == (1, 10)
