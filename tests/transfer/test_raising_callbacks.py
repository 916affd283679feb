"""Callbacks and iterators of the user's that raise: the call ends with that very exception."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Progress, Session, Settings


class _EndOfAll(BaseException):
    """Neither an `Exception` nor one that Python knows."""


RAISED: list[BaseException] = [
    ValueError("v"),
    OSError(28, "full"),
    ExceptionGroup("mine", [ValueError("first"), KeyError("second")]),
    BaseExceptionGroup("mine", [ExceptionGroup("inner", [KeyError()]), _EndOfAll()]),
    GeneratorExit("g"),
    asyncio.CancelledError("c"),
    _EndOfAll("e"),
]
ENDS_THE_PROGRAM: list[BaseException] = [KeyboardInterrupt("k"), SystemExit(3)]
BECOME_RUNTIME_ERRORS: list[BaseException] = [StopIteration("s"), StopAsyncIteration("a")]


def settings(tmp_path: Path) -> Settings:
    """Settings of a session without clouds, and a directory of files to copy."""
    (tmp_path / "source").mkdir()
    for number in range(3):
        (tmp_path / "source" / f"{number}").write_bytes(b"x" * 1000)
    return Settings(home=tmp_path / "home")


def raising(error: BaseException) -> Iterator[tuple[str, str]]:
    """Pairs that break off at once."""
    raise error
    yield "", ""


@pytest.mark.parametrize("error", [*RAISED, *BECOME_RUNTIME_ERRORS], ids=repr)
async def test_exceptions_of_the_async_call(error: BaseException, tmp_path: Path) -> None:
    """The exception of a callback, a stream or of pairs is raised as it is; no call that broke off looks like success.

    Python turns StopIteration in coroutines and generators into a RuntimeError, which has it as its cause.
    """

    def fail(_: Progress) -> None:
        raise error

    async def stream() -> AsyncIterator[bytes]:
        yield b"bytes"
        raise error

    async with AsyncSession(settings=settings(tmp_path)) as session:
        storage = session.get_storage_manager()
        source, target = f"{tmp_path}/source/", f"{tmp_path}/target/"
        for call in (
            session.copy(source, target, on_progress=fail),
            session.sync(source, target, on_progress=fail),
            session.copy(source, "aws:/bucket/target/", on_progress=fail),
            storage.write("/bucket/key", stream(), "AWS"),
            storage.upload_many(raising(error), "AWS"),
            storage.download_many(raising(error), "AWS"),
        ):
            with pytest.raises(RuntimeError if error in BECOME_RUNTIME_ERRORS else type(error)) as raised:
                await call
            assert error in (raised.value, raised.value.__cause__)


@pytest.mark.parametrize("error", [*RAISED, *ENDS_THE_PROGRAM], ids=repr)
def test_exceptions_of_the_blocking_call(error: BaseException, tmp_path: Path) -> None:
    """The same through the blocking session, whose event loop survives exceptions that end programs."""

    def fail(_: Progress) -> None:
        raise error

    with Session(settings=settings(tmp_path), progress=False) as session:
        with pytest.raises(type(error)) as raised:
            session.copy(f"{tmp_path}/source/", f"{tmp_path}/target/", on_progress=fail)
        assert raised.value is error
        assert session.copy(f"{tmp_path}/source/", f"{tmp_path}/target/").ok


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("error", RAISED[:4], ids=repr)
def test_exceptions_of_blocking_streams_and_pairs(error: BaseException, tmp_path: Path, *, in_thread: bool) -> None:
    """What a stream or pairs raise is raised as it is by every call that takes them, in a thread of a pool, too."""

    def stream() -> Iterator[bytes]:
        yield b"bytes"
        raise error

    with Session(settings=settings(tmp_path), progress=False) as session, ThreadPoolExecutor(1) as threads:
        storage = session.get_storage_manager()
        for call in (
            lambda: storage.write("/bucket/key", stream(), "AWS"),
            lambda: storage.at("aws").write("/bucket/key", stream()),
            lambda: storage.upload_many(raising(error), "AWS"),
            lambda: storage.download_many(raising(error), "AWS"),
            lambda: storage.delete((path for path, _ in raising(error)), "AWS"),
        ):
            with pytest.raises(type(error)) as raised:
                threads.submit(call).result() if in_thread else call()
            assert raised.value is error
