"""How places are written: what is no known place is an error before anything is done, unless it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Session, Settings
from dxflow_async.exceptions import ConfigurationError, TransferError

NO_PLACES = [
    "s3a://bucket/x",
    "gs:bucket/x",
    "asw:/bucket/x",
    "https://account.blob.core.windows.net/box/x?sv=1&sig=SECRET",
    "file:/x",
    "file://elsewhere/x",
    "report:2025",
    "C:\\x",
]

REFUSED = "not a known place|no remote is the storage account|with a path of this machine"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with data/file in it."""
    place = tmp_path / "here"
    (place / "data").mkdir(parents=True)
    (place / "data" / "file").write_text("1")
    monkeypatch.chdir(place)
    return place


def files_below(top: Path) -> list[str]:
    """The names of all files."""
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())


@pytest.mark.parametrize("written", NO_PLACES)
async def test_what_is_no_place_is_refused(tmp_path: Path, here: Path, written: str) -> None:
    """By copy, move and sync, at either end; nothing is made, nothing goes, and no signature is shown."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        for call in (session.copy, session.move, session.sync):
            for ends in (("data", written), (written, "data")):
                with pytest.raises(
                    ConfigurationError, match=r"not a known place|no remote is|write file:///"
                ) as raised:
                    await call(*ends)
                assert "SECRET" not in str(raised.value)
    assert os.listdir(here) == ["data"]
    assert os.listdir(here / "data") == ["file"]


def test_the_blocking_session_refuses_it_too(tmp_path: Path, here: Path) -> None:
    """A typing error is none of its local paths."""
    with Session(settings=Settings(home=tmp_path / "home")) as session:
        for call in (session.copy, session.move, session.sync):
            with pytest.raises(ConfigurationError, match="write aws:/bucket/x"):
                call("data", "asw:/bucket/x")
    assert os.listdir(here) == ["data"]


async def test_what_is_meant_to_be_local_is(tmp_path: Path, here: Path) -> None:
    """By a dot or a slash in front, local:, a path object, or since something of that name is there."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        await session.copy("data/file", "./report:2024")
        await session.copy("report:2024", f"{here}/s3:/x")
        await session.copy("s3:/x", "local:b:/x")
        await session.copy(Path("b:/x"), Path("c:/x"))
        await session.copy("c:/x", "c:/y")
        await session.copy("report:*", "d/10:30")
        await session.copy("d/10:30", "report:2024")
    assert files_below(here) == ["b:/x", "c:/x", "c:/y", "d/10:30", "data/file", "report:2024", "s3:/x"]


async def test_a_job_goes_on_to_where_it_was_begun(tmp_path: Path, here: Path) -> None:
    """A destination that was taken for a local directory stays one, also when it is not there any more."""
    (here / "data" / "another").write_text("2")
    (here / "s3:" / "bucket").mkdir(parents=True)
    os.mkfifo(here / "s3:" / "bucket" / "file")
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(TransferError):
            await session.copy("data/", "s3:/bucket/")
        (job,) = await session.jobs()
        for name in ("file", "another"):
            (here / "s3:" / "bucket" / name).unlink()
        (here / "s3:" / "bucket").rmdir()
        (here / "s3:").rmdir()
        await session.resume(job.id)
    assert files_below(here / "s3:") == ["bucket/file"]  # the other one was done
