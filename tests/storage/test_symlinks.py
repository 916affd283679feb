"""Symbolic links below local sources: followed, skipped, or kept and restored inside the destination."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, ConfigurationError, TransferError, UnsafePathError
from tests.storage.tested_accounts import Spots

EVERYWHERE = ("AWS", "AZURE", "GCP", "UNIT", "LOCAL")


async def _stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _tree(top: Path) -> None:
    """A file, links to it from two places, a link to a directory, and a link to nothing."""
    (top / "dir/inner").mkdir(parents=True)
    (top / "dir/file").write_bytes(b"content")
    (top / "dir/inner/up").symlink_to("../file")
    (top / "beside").symlink_to("dir/file")
    (top / "directory").symlink_to("dir")
    (top / "nothing").symlink_to("missing")


def _links(top: Path) -> dict[str, str]:
    found = [Path(where) / name for where, below, files in os.walk(top) for name in (*below, *files)]
    return {each.relative_to(top).as_posix(): str(each.readlink()) for each in found if each.is_symlink()}


@pytest.mark.parametrize("verb", ["copy", "move"])
@pytest.mark.parametrize("provider", EVERYWHERE)
async def test_links_come_back(
    everywhere: AsyncSession, spots: Spots, tmp_path: Path, provider: str, verb: str
) -> None:
    """Kept links are restored as they were, and a move takes the links and leaves what they lead to outside alone."""
    source, there, back = tmp_path / "source", spots(provider, "there"), tmp_path / "back"
    _tree(source)
    before = _links(source)
    report = await getattr(everywhere, verb)(f"{source}/", there / "", symlinks="preserve")
    assert len(report) == 5
    assert _links(source) == ({} if verb == "move" else before)
    await getattr(everywhere, verb)(there / "", f"{back}/", symlinks="preserve")
    assert _links(back) == before
    assert (back / "directory/inner/up").read_bytes() == b"content"


@pytest.mark.parametrize("provider", EVERYWHERE)
async def test_skipped_links(everywhere: AsyncSession, spots: Spots, tmp_path: Path, provider: str) -> None:
    """Skipped links are results that say so, and nothing of what they lead to arrives."""
    source, there = tmp_path / "source", spots(provider, "there")
    _tree(source)
    report = await everywhere.copy(f"{source}/", there / "", symlinks="skip")
    assert {each.source.rpartition("/")[2]: each.skipped for each in report} == {
        "file": None,
        **dict.fromkeys(("up", "beside", "directory", "nothing"), "it is a symbolic link"),
    }


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "../outside", "dir/../../outside", "inner/../file", "", "lnk/../../outside", "a\0b", "x" * 5000],
)
async def test_links_that_lead_out(everywhere: AsyncSession, bucket: str, tmp_path: Path, target: str) -> None:
    """A stored link that leads out of the destination, or may do so later, is not made, and the others are."""
    storage, top = everywhere.get_storage_manager().at("aws"), f"/{bucket}/out-{abs(hash(target))}"
    await storage.write(f"{top}/a/evil.rclonelink", _stream(target.encode()))
    await storage.write(f"{top}/b.rclonelink", _stream(b"c/d"))
    await storage.write(f"{top}/file", _stream(b"content"))
    (tmp_path / "out").mkdir()
    (tmp_path / "outside").write_bytes(b"mine")
    if target == "../outside":
        (tmp_path / "out/a").symlink_to(tmp_path / "out")  # so that one step up leads out of the destination
    with pytest.raises(TransferError) as raised:
        await storage.download(f"{top}/", f"{tmp_path}/out/", symlinks="preserve")
    (failed,) = raised.value.report.failed
    assert isinstance(failed.error, UnsafePathError)
    assert not (tmp_path / "out/a/evil").is_symlink()
    assert os.readlink(tmp_path / "out/b") == "c/d"
    assert (tmp_path / "outside").read_bytes() == b"mine"


async def test_existing_names(everywhere: AsyncSession, bucket: str, tmp_path: Path) -> None:
    """A restored link replaces a file, or what is there stays, as `overwrite` says; without the option it is a file."""
    storage, top = everywhere.get_storage_manager().at("aws"), f"/{bucket}/existing"
    await storage.write(f"{top}/name.rclonelink", _stream(b"other"))
    (tmp_path / "name").write_bytes(b"old")
    report = await storage.download(f"{top}/", f"{tmp_path}/", symlinks="preserve", overwrite="skip")
    assert report[0].skipped == "it exists already"
    await storage.download(f"{top}/", f"{tmp_path}/", symlinks="preserve")
    assert os.readlink(tmp_path / "name") == "other"
    await storage.download(f"{top}/", f"{tmp_path}/")
    assert (tmp_path / "name.rclonelink").read_bytes() == b"other"
    with pytest.raises(ConfigurationError, match="symlinks = 'keep' is not allowed"):
        await storage.upload(tmp_path, top, symlinks="keep")  # type: ignore[arg-type]


async def test_chains_and_loops(everywhere: AsyncSession, bucket: str, tmp_path: Path) -> None:
    """Chains and loops inside the destination are restored; no chain of links leads out of it, whatever their order."""
    storage, top = everywhere.get_storage_manager().at("aws"), f"/{bucket}/chains"
    good = {"a": "b", "b": "a", "self": "self", "chain1": "chain2", "chain2": "s/up/file", "s/up": "..", "z": "s/up/s"}
    bad = {
        "s/up2": "../..",
        "s/t/up3": "../../..",
        "through": "s/up/../../outside",
        "absolute": str(tmp_path / "out/file"),
        "dots": "./.././outside",
    }
    for name, target in (good | bad).items():
        await storage.write(f"{top}/{name}.rclonelink", _stream(target.encode()))
    await storage.write(f"{top}/file", _stream(b"content"))
    (tmp_path / "outside").write_bytes(b"mine")
    for _ in range(2):  # the second time, all links that were made are there already
        with pytest.raises(TransferError) as raised:
            await storage.download(f"{top}/", f"{tmp_path}/out/", symlinks="preserve")
        failed = raised.value.report.failed
        assert {type(each.error) for each in failed} == {UnsafePathError}
        assert len(failed) == len(bad)
        assert _links(tmp_path / "out") == good
    assert (tmp_path / "out/chain1").read_bytes() == b"content"
    assert (tmp_path / "outside").read_bytes() == b"mine"
