"""Several writers that create one object at the same time, at servers that check the condition themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from dxflow_async import AlreadyExistsError, AsyncSession, TransferError
from tests.dialects.opened_clouds import TOPS, opened
from tests.sessions import MiB

WRITERS = 5


def content(file: Path) -> bytes:
    return file.read_bytes()


async def write(session: AsyncSession, target: str, file: Path) -> None:
    data = content(file)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), MiB):
            yield data[start : start + MiB]

    await session.write(target, chunks(), overwrite=False)


async def copy(session: AsyncSession, target: str, file: Path) -> None:
    await session.copy(file, target, overwrite=False)


async def move(session: AsyncSession, target: str, file: Path) -> None:
    await session.move(file, target, overwrite=False)


async def open_new(session: AsyncSession, target: str, file: Path) -> None:
    async with session.open(target, "xb") as opened_file:
        await opened_file.write(content(file))


async def copy_within(session: AsyncSession, target: str, file: Path) -> None:
    source = f"{target}-{file.name}"
    await session.copy(file, source)
    await session.copy(source, target, overwrite=False)


@pytest.mark.parametrize("size", [pytest.param(10, id="whole"), pytest.param(11 * MiB, id="in parts")])
@pytest.mark.parametrize("verb", [write, copy, move, open_new, copy_within])
@pytest.mark.parametrize("remote", TOPS)
async def test_one_writer_wins(
    remote: str, verb: Callable[[AsyncSession, str, Path], Awaitable[None]], size: int, tmp_path: Path
) -> None:
    """One of them stores its object, whole; all others fail with `AlreadyExistsError`, and keep their source."""
    files = [tmp_path / f"source-{number}" for number in range(WRITERS)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([65 + number]) * size)

    async with opened(remote, tmp_path / "home") as found:
        session = found.session
        await session.path(f"{TOPS[remote]}/before").write_bytes(b"")  # the service is known to obey
        await session.write(f"{TOPS[remote]}/proof", b"1", overwrite=False)

        async def attempt(file: Path) -> bool:
            try:
                await verb(session, f"{TOPS[remote]}/target", file)
            except AlreadyExistsError:
                return False
            except TransferError as error:
                if {type(each.error) for each in error.report.failed} == {AlreadyExistsError}:
                    return False
                raise
            return True

        outcomes = await asyncio.gather(*map(attempt, files))
        assert outcomes.count(True) == 1
        winner = bytes([65 + outcomes.index(True)]) * size
        assert await session.read_bytes(f"{TOPS[remote]}/target") == winner
    kept = [file.exists() for file in files]
    assert kept == [not won for won in outcomes] if verb is move else all(kept)
