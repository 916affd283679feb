"""When a user's function is called for credentials, and what becomes of its failures."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any

import pytest

from dxflow_async.config.credentials import BearerToken
from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    DxflowError,
    NetworkError,
    StallTimeoutError,
    ThrottledError,
)
from dxflow_async.providers.common import renewed_credentials
from dxflow_async.providers.common.renewed_credentials import RenewedCredentials


class Source:
    """Returns these answers, or raises these errors, one after the other, the last one again and again.

    Attributes:
        called, may_answer: a call has begun; calls go on.
    """

    def __init__(self, *answers: Any, pause: float = 0.0) -> None:
        self.answers = list(answers)
        self.pause = pause
        self.calls = 0
        self.called, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()

    async def __call__(self) -> Any:
        self.calls += 1
        self.called.set()
        await asyncio.sleep(self.pause)
        await self.may_answer.wait()
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def token(name: str, seconds: float | None = None) -> BearerToken:
    """A token that is good for so long."""
    return BearerToken(name, None if seconds is None else time() + seconds)


def renewed(source: Any) -> RenewedCredentials[BearerToken]:
    """Credentials of a remote."""
    return RenewedCredentials("MINIO", "AWS", source, BearerToken)


async def test_one_task_asks_for_all() -> None:
    """However many requests start together, the function is called once; without an end never again."""
    source = Source(token("a"), pause=0.05)
    credentials = renewed(source)
    found = await asyncio.gather(*(credentials.get() for _ in range(50)))
    assert {id(each) for each in found} == {id(found[0])}
    assert (await credentials.get()).token == "a"
    assert source.calls == 1


async def test_they_are_renewed_before_they_end() -> None:
    """The next ones are fetched five minutes before the end, or after half a short life."""
    source = Source(token("long", 299), token("short", 0.4), token("last", 3600))
    credentials = renewed(source)
    assert (await credentials.get()).token == "long"
    credentials._renew_at = time()  # half of its life is over
    assert (await credentials.get()).token == "short"
    await asyncio.sleep(0.25)
    assert (await credentials.get()).token == "last"
    assert credentials._renew_at == pytest.approx(time() + 3300, abs=5)


async def test_requests_do_not_wait_for_a_renewal() -> None:
    """While one task renews credentials that are good still, the others go on with these."""
    source = Source(token("old", 60), token("new", 60))
    credentials = renewed(source)
    await credentials.get()
    credentials._renew_at = 0.0
    source.called.clear()
    source.may_answer.clear()
    renewing = asyncio.ensure_future(credentials.get())
    await source.called.wait()
    assert (await credentials.get()).token == "old"
    source.may_answer.set()
    assert (await renewing).token == "new"


async def test_a_failed_renewal_is_no_failure_while_the_old_ones_are_good(caplog: pytest.LogCaptureFixture) -> None:
    """The old credentials are used until their end, a warning is logged, and the next attempt has a pause."""
    source = Source(token("old", 60), OSError("the vault is sealed"))
    credentials = renewed(source)
    await credentials.get()
    credentials._renew_at = 0.0
    with caplog.at_level(logging.WARNING):
        assert [(await credentials.get()).token for _ in range(3)] == ["old"] * 3
    assert source.calls == 2
    assert "the vault is sealed" in caplog.text
    credentials._renew_at = credentials._ends_at = 0.0
    with pytest.raises(NetworkError):
        await credentials.get()


@pytest.mark.parametrize(
    ("answer", "cls", "message"),
    [
        (ValueError("no role"), AccessDeniedError, r"it raised ValueError: no role"),
        (ConnectionResetError("gone"), NetworkError, r"it raised ConnectionResetError: gone"),
        (TimeoutError(), StallTimeoutError, r"it did not return within 120 s"),
        (ThrottledError("slower"), ThrottledError, r"^slower$"),
        (ExceptionGroup("several", [ValueError("one")]), AccessDeniedError, r"it raised ExceptionGroup: several"),
        (
            "hush-hush",
            ConfigurationError,
            r"^remotes\.minio\.credentials .* must return BearerToken, and returned str$",
        ),
        (None, ConfigurationError, r"must return BearerToken, and returned NoneType$"),
        (BearerToken("t", datetime.now(UTC) - timedelta(seconds=90)), AccessDeniedError, r"that ended \d+ s ago"),
    ],
)
async def test_failures_are_ours(answer: Any, cls: type[DxflowError], message: str) -> None:
    """Whatever a function does wrong is one of our errors; it names the remote and shows no secret."""
    with pytest.raises(cls, match=message) as raised:
        await renewed(Source(answer)).get()
    assert "hush" not in str(raised.value)
    if message.startswith("it "):
        assert str(raised.value).startswith(
            "MINIO credentials could not be obtained: remotes.minio.credentials is a function, and"
        )


async def test_a_plain_function_is_refused() -> None:
    """A function that returns credentials at once would block the loop: it is a configuration error."""
    with pytest.raises(ConfigurationError, match=r"it must be an async function, and returned BearerToken at once"):
        await renewed(lambda: token("t")).get()


async def test_a_function_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function has a limited time, after which it is cancelled."""
    monkeypatch.setattr(renewed_credentials, "TIMEOUT", 0.05)
    with pytest.raises(StallTimeoutError, match=r"did not return within 0\.05 s"):
        await renewed(Source(token("t"), pause=60)).get()


async def test_cancelling_a_request_leaves_the_others() -> None:
    """A task that is cancelled while it asks leaves nothing behind: the next one asks again."""
    source = Source(token("a", 60))
    source.may_answer.clear()
    credentials = renewed(source)
    tasks = [asyncio.ensure_future(credentials.get()) for _ in range(3)]
    await source.called.wait()
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    source.may_answer.set()
    assert [(await task).token for task in tasks[1:]] == ["a", "a"]
    assert source.calls == 2


async def test_refused_credentials_are_asked_for_once() -> None:
    """When many requests are refused with the same credentials, the function is called once for all of them."""
    source = Source(token("a"), token("b"))
    credentials = renewed(source)
    first = await credentials.get()
    assert not credentials.forget(first, sure=False)  # it may be the request that was refused
    for _ in range(20):
        assert credentials.forget(first)
        assert (await credentials.get()).token == "b"
    assert source.calls == 2
