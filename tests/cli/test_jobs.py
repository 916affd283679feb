"""`jobs list`, `show`, `resume` and `clean`, as a user calls them; what a killed program leaves, and its removal."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.faults.killed_processes import Program
from tests.servers import SeaweedFS
from tests.sessions import MiB, part_files, settings_for, unfinished_uploads
from tests.waiting import until


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that moves in parts."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(40 * MiB))
    return path


async def soon() -> None:
    """Some parts later."""
    await asyncio.sleep(1.0)


async def test_an_abandoned_upload(weed: SeaweedFS, bucket: str, prefix: str, tmp_path: Path, large: Path) -> None:
    """A killed upload is listed and shown; `clean` says what it would remove, and removes it when told to."""
    aws = settings_for(weed, tmp_path / "home").aws
    program = Program(tmp_path / "home", aws, max_bandwidth=8 * MiB, part_size=5 * MiB)
    place = f"aws:/{prefix}large"
    assert await program.kill("cp", str(large), place, when=soon)
    (job_id,) = program.jobs
    (found,) = map(json.loads, (await program.run("jobs", "list", "--json")).splitlines())
    assert (found["id"], found["operation"], found["source"], found["pid"]) == (job_id, "copy", str(large), None)
    assert f"begun in parts: {place}" in await program.run("jobs", "show", job_id)
    name = prefix.partition("/")[2] + "large"
    told = await program.run("jobs", "clean", "--dry-run")
    assert f"would remove upload {place}" in told
    assert name in unfinished_uploads(weed, bucket)
    assert f"removed upload {place}" in await program.run("jobs", "clean", "--yes")
    assert name not in unfinished_uploads(weed, bucket)
    assert program.jobs == []


async def test_an_abandoned_download(weed: SeaweedFS, prefix: str, tmp_path: Path, large: Path) -> None:
    """A killed download leaves temporary files, which `clean` removes, and no others."""
    aws = settings_for(weed, tmp_path / "home").aws
    await Program(tmp_path / "other", aws).run("cp", str(large), f"aws:/{prefix}tree/large")
    program = Program(tmp_path / "home", aws, max_bandwidth=8 * MiB, part_size=5 * MiB)
    target = tmp_path / "target"
    assert await program.kill("cp", f"aws:/{prefix}tree/", f"{target}/", when=soon)
    (left,) = part_files(target)
    (target / ".0123456789abcdef.dxpart").write_bytes(b"another program's")
    told = await program.run("jobs", "clean", *program.jobs)
    assert "nothing was removed" in told
    assert Path(left).name in "".join(part_files(target))
    await program.run("jobs", "clean", *program.jobs, "--yes")
    assert [Path(each).name for each in part_files(target)] == [".0123456789abcdef.dxpart"]
    assert program.jobs == []


async def test_resumed_from_another_directory(
    weed: SeaweedFS, prefix: str, tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job goes on to the same place, also where that exists by now and was written relative to a directory."""
    aws = settings_for(weed, tmp_path / "home").aws
    await Program(tmp_path / "other", aws).run("cp", str(large), f"aws:/{prefix}tree/large")
    program = Program(tmp_path / "home", aws, max_bandwidth=8 * MiB, part_size=5 * MiB)
    monkeypatch.chdir(tmp_path)
    assert await program.kill("cp", f"aws:/{prefix}tree", "copy", when=soon)
    monkeypatch.chdir("/")
    await program.run("jobs", "resume", *program.jobs)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "copy").rglob("*"))
    assert names == ["copy/large"]
    assert (tmp_path / "copy/large").read_bytes() == (tmp_path / "large").read_bytes()


async def test_unknown_and_contradictory(tmp_path: Path) -> None:
    """An unknown job, and options that exclude each other, are refused with a message."""
    program = Program(tmp_path / "home")
    for arguments, said in (
        (("resume", "unknown"), "jobs list"),
        (("clean", "--yes", "--dry-run"), "exclude each other"),
    ):
        with pytest.raises(AssertionError, match=said):
            await program.run("jobs", *arguments)
    await until(lambda: program.jobs == [])


async def test_a_killed_move_leaves_no_needless_markers(
    weed: SeaweedFS, bucket: str, prefix: str, tmp_path: Path
) -> None:
    """Of directories that a killed move has emptied no markers are stored; those that were empty get theirs."""
    tree, empty = tmp_path / "tree", {"empty/", "d3/empty/", "deep/er/"}
    for number in range(400):
        path = tree / f"d{number // 8}" / "inner" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(5000))
    for name in empty:
        (tree / name).mkdir(parents=True)
    program = Program(tmp_path / "home", settings_for(weed, tmp_path / "home").aws, max_bandwidth=MiB)
    assert await program.kill("mv", f"{tree}/", f"aws:/{prefix}", when=soon)
    left = [path for path in tree.rglob("*") if path.is_file()]
    assert 0 < len(left) < 400
    await program.run("jobs", "resume", *program.jobs)
    top = prefix.partition("/")[2]
    pages = weed.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=top)
    keys = {each["Key"].removeprefix(top) for page in pages for each in page["Contents"]}
    assert {key for key in keys if key.endswith("/")} == empty
    assert len(keys) == 400 + len(empty)
    assert program.jobs == []
    assert not list(tree.rglob("*"))
