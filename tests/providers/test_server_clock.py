"""Signatures on a machine whose clock is wrong."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest

from dxflow_async.exceptions import AccessDeniedError
from dxflow_async.providers.common.server_clock import ServerClock, spell_duration
from dxflow_async.providers.contract import Provider
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.providers.connected_providers import Connect, ConnectAzure
from tests.servers.other_clock import OtherClockServer

SERVICES = ["s3", "azure"]


@pytest.fixture
def connected(connect: Connect, connect_azure: ConnectAzure) -> dict[str, Callable[..., Provider]]:
    """Makes providers of a service."""
    # A payload that is not signed is another reason for a refusal, for which a request is repeated.
    return {"s3": partial(connect, sign_payload=True), "azure": connect_azure}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "clock" in each.getMessage()]


async def use(provider: Provider, *, head: bool) -> None:
    if head:
        await provider.stat("bucket/name")
    else:
        reading = await provider.read("bucket/name", etag="1")
        await reading.aclose()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize(
    ("shift", "words"),
    [(2520.0, "42 minutes behind"), (-36_000.0, "10 hours ahead of"), (86_400 * 90, "90 days behind")],
)
async def test_wrong_clock(
    connected: dict[str, Callable[..., Provider]],
    caplog: pytest.LogCaptureFixture,
    service: str,
    shift: float,
    words: str,
    *,
    head: bool,
) -> None:
    """The request is signed once more with the service's time, later ones at once, and one log line says so."""
    async with OtherClockServer(service, shift) as server:
        provider = connected[service](server.url)
        for _ in range(3):
            await use(provider, head=head)
    assert len(server.asked) == 4
    (warning,) = warnings(caplog)
    assert words in warning
    assert urlsplit(server.url).netloc in warning


@pytest.mark.parametrize("service", SERVICES)
async def test_requests_under_way_are_signed_anew(
    connected: dict[str, Callable[..., Provider]], caplog: pytest.LogCaptureFixture, service: str
) -> None:
    """Requests that were signed before the difference was known are repeated once each; the log has one line."""
    async with OtherClockServer(service, 7200) as server:
        provider = connected[service](server.url)
        await asyncio.gather(*(use(provider, head=True) for _ in range(10)))
    assert len(server.asked) <= 20
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("service", SERVICES)
async def test_clock_that_is_set_later(
    connected: dict[str, Callable[..., Provider]], caplog: pytest.LogCaptureFixture, service: str
) -> None:
    """A difference that goes away is noticed like one that appears."""
    async with OtherClockServer(service, 7200) as server:
        provider = connected[service](server.url)
        await use(provider, head=True)
        server.shift = 0
        await use(provider, head=True)
        await use(provider, head=True)
    assert len(server.asked) == 5
    assert [bool(re.search("agrees", each)) for each in warnings(caplog)] == [False, True]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("head", [True, False])
async def test_refusals_that_have_another_reason(
    connected: dict[str, Callable[..., Provider]], service: str, *, head: bool
) -> None:
    """Where the clocks agree, no refusal is taken for one of the time, and nothing is repeated."""
    code = "AuthenticationFailed" if service == "azure" else "SignatureDoesNotMatch"
    async with OtherClockServer(service, 60, code) as server:
        with pytest.raises(AccessDeniedError) as raised:
            await use(connected[service](server.url), head=head)
    assert len(server.asked) == 1
    assert "clock of this machine is" not in str(raised.value)


@pytest.mark.parametrize(("service", "code"), [("s3", "AccessDenied"), ("azure", "AuthorizationFailure")])
async def test_refusals_that_name_another_reason(
    connected: dict[str, Callable[..., Provider]], service: str, code: str
) -> None:
    """A refusal with another code is not repeated, however wrong the clock is."""
    async with OtherClockServer(service, 100_000, code) as server:
        with pytest.raises(AccessDeniedError):
            await use(connected[service](server.url), head=False)
    assert len(server.asked) == 1


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("head", [True, False])
async def test_refusal_that_stays(connected: dict[str, Callable[..., Provider]], service: str, *, head: bool) -> None:
    """With the service's time a request is tried once; the error names the clock and what was done."""
    async with OtherClockServer(
        service, 2520, {"s3": "RequestTimeTooSkewed"}.get(service, "AuthenticationFailed")
    ) as server:
        provider = connected[service](server.url)
        with pytest.raises(AccessDeniedError, match="the clock of this machine is 42 minutes behind the service's"):
            await use(provider, head=head)
        assert len(server.asked) == 2
        with pytest.raises(AccessDeniedError):
            await use(provider, head=head)
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("service", "head", "code", "advice"),
    [
        ("s3", True, None, "set the clock"),
        ("s3", False, "RequestTimeTooSkewed", "set the clock"),
        ("s3", False, "RequestExpired", "set the clock"),
        ("azure", False, "AuthenticationFailed", "check AZURE.account and AZURE.account_key"),
    ],
)
async def test_advice_after_the_clock(
    connected: dict[str, Callable[..., Provider]], service: str, head: bool, code: str | None, advice: str
) -> None:
    """A refusal of the time advises about the clock, and not about rights or who pays."""
    async with OtherClockServer(service, 2520, code or "RequestTimeTooSkewed") as server:
        with pytest.raises(AccessDeniedError) as raised:
            await use(connected[service](server.url), head=head)
    text = str(raised.value)
    assert advice in text
    assert not re.search(r"rights|requester_pays|s3:GetObject", text)


async def test_reason_after_the_clock(connect: Connect) -> None:
    """Where the service refuses rights once the time is right, the advice is about rights and not about the clock."""
    async with S3Server(Quirks(clock_offset=7200.0, denied=frozenset({"GetObject"}))) as server:
        provider = connect(server.endpoint, access_key=server.access_key, secret_key=server.secret_key)
        with pytest.raises(AccessDeniedError, match="s3:GetObject") as raised:
            await use(provider, head=False)
    assert "clock" not in str(raised.value)


async def test_time_in_the_body(connect: Connect) -> None:
    """S3 tells its time in the body, too, for servers whose proxies drop the date."""
    async with OtherClockServer("s3", 2520, quiet=True) as server:
        await use(connect(server.url), head=False)
    assert len(server.asked) == 2


async def test_presigned_urls_have_the_services_time(connect: Connect, connect_azure: ConnectAzure) -> None:
    """They begin and end by the service's clock once it is known."""
    async with OtherClockServer("s3", -36_000) as server:
        s3 = connect(server.url)
        await s3.stat("bucket/name")
        query = parse_qs(urlsplit(await s3.presign("bucket/name", 60)).query)
        begins = datetime.strptime(f"{query['X-Amz-Date'][0]}+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
        assert abs(begins - server.now()) < 60
    async with OtherClockServer("azure", -36_000) as server:
        azure = connect_azure(server.url)
        await azure.stat("bucket/name")
        query = parse_qs(urlsplit(await azure.presign("bucket/name", 60)).query)
        assert abs(datetime.fromisoformat(query["se"][0]).timestamp() - 60 - server.now()) < 60


def test_a_clock_learns_from_dates_only(caplog: pytest.LogCaptureFixture) -> None:
    """Without a date, or with one that is none, nothing is learned."""
    clock = ServerClock("s3.example.org")
    for headers in ({}, {"date": ""}, {"date": "yesterday"}, {"date": "Thu, 99 Foo 2026 00:00:00 GMT"}):
        assert not clock.corrected(0.0, headers, named=True)
    assert clock.offset == 0.0
    caplog.set_level(logging.WARNING)
    assert not warnings(caplog)
    assert [spell_duration(each) for each in (6, 119, 121, 3 * 3600, 50 * 3600)] == [
        "6 seconds",
        "119 seconds",
        "2 minutes",
        "3 hours",
        "2 days",
    ]
