"""Origins that never answer get few attempts, and then one; those that answered get all of them."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AWSSettings, Settings, TransferError
from dxflow_async.net.errors import (
    FEW_ATTEMPTS,
    ConnectionBrokenError,
    ConnectionRefusedByHostError,
    ConnectTimeoutError,
    HostNotFoundError,
    NetError,
    ProxyError,
    StalledError,
)
from dxflow_async.net.reached import GIVE_UP_SECONDS, NAME_SECONDS, ReachedOrigins
from dxflow_async.net.request import Origin
from tests.scripted_server import ScriptedServer, answer, hang_up
from tests.sessions import retry_soon

HERE = Origin.of("https", "here.example")
THERE = Origin.of("https", "there.example")


def attempts(reached: ReachedOrigins, error: NetError, origin: Origin = HERE) -> int | None:
    """The attempts that a failure is worth."""
    reached.failed(origin, error)
    return error.max_attempts


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConnectionRefusedByHostError("refused"),
        lambda: ConnectTimeoutError("no connection"),
        lambda: ProxyError("not reached"),
        lambda: StalledError("no byte moved"),
    ],
)
def test_never_answered(make: type[NetError]) -> None:
    """Few attempts at first; one each after some seconds; all of them once it answered. Origins do not mix."""
    now = 100.0
    reached = ReachedOrigins(lambda: now)
    assert {attempts(reached, make()) for _ in range(100)} == {FEW_ATTEMPTS}
    now += GIVE_UP_SECONDS
    assert attempts(reached, make()) == 1
    assert attempts(reached, make(), THERE) == FEW_ATTEMPTS
    reached.answered(HERE)
    assert attempts(reached, make()) is None
    assert attempts(reached, make(), THERE) == FEW_ATTEMPTS


def test_names_that_cannot_be_looked_up_for_a_while() -> None:
    """A network that comes back is waited for with all attempts; after half a minute each request gets one."""
    now = 100.0
    reached = ReachedOrigins(lambda: now)
    assert {attempts(reached, HostNotFoundError("no answer", temporary=True)) for _ in range(100)} == {None}
    now += GIVE_UP_SECONDS
    assert attempts(reached, HostNotFoundError("no answer", temporary=True)) is None
    now += NAME_SECONDS
    assert attempts(reached, HostNotFoundError("no answer", temporary=True)) == 1


def test_slow_failures_are_tried_a_few_times() -> None:
    """Failures that take longer than some seconds each are tried as often as quick ones."""
    now = 0.0
    reached = ReachedOrigins(lambda: now)
    found = []
    for _ in range(FEW_ATTEMPTS + 2):
        found.append(attempts(reached, ConnectTimeoutError("no connection")))
        now += 10
    assert found == [FEW_ATTEMPTS] * FEW_ATTEMPTS + [1, 1]


def test_other_failures_keep_their_attempts() -> None:
    """A connection that was made and broke says that something is there; what is never retried stays so."""
    reached = ReachedOrigins(lambda: 0.0)
    assert attempts(reached, ConnectionBrokenError("reset")) is None
    assert attempts(reached, ProxyError("407", retryable=False)) is None


async def test_many_items_wait_for_a_dead_endpoint_once(tmp_path: Path) -> None:
    """A call of many items to an endpoint that refuses connections ends after the wait of one item."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nothing listens there
        aws = AWSSettings(
            endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}", region="us-east-1", access_key="a", secret_key="b"
        )
        (tmp_path / "tree").mkdir()
        for number in range(200):
            (tmp_path / "tree" / f"{number}").write_bytes(b"x")
        async with AsyncSession(settings=Settings(home=tmp_path / "home", aws=aws)) as session, asyncio.timeout(60):
            with pytest.raises(TransferError, match="refused the connection") as failed:
                await session.copy(f"{tmp_path}/tree/", "aws:/bucket/tree/")
    assert len(failed.value.report.failed) == 200
    assert {result.attempts for result in failed.value.report} <= set(range(1, FEW_ATTEMPTS + 1))


async def test_an_endpoint_that_answered_keeps_its_attempts(tmp_path: Path) -> None:
    """A server that restarts after its first answer is waited for."""
    async with ScriptedServer(answer(x_amz_request_id="1", ETag='"1"'), *[hang_up] * 7, answer(ETag='"1"')) as server:
        aws = AWSSettings(endpoint=server.url, region="us-east-1", access_key="a", secret_key="b")
        async with AsyncSession(settings=Settings(home=tmp_path, aws=aws)) as session:
            retry_soon(session)
            await session.get_storage_manager().stat("/bucket/first")
            await session.get_storage_manager().stat("/bucket/second")
        assert len(server.requests) >= 9
