"""Finding units, registering them, and their life, at the embedded hub."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dxflow_async import AsyncSession, Settings, Unit
from dxflow_async.compute.manager import AsyncComputeManager
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.control.units import unit_of
from dxflow_async.exceptions import (
    AuthenticationError,
    ComputeUnitError,
    ConfigurationError,
    NetworkError,
    ServiceError,
    SessionClosedError,
    UnitNotFoundError,
)
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.server.hub.app import create_app
from tests.compute.registered_units import ACCOUNT, register

ELSEWHERE = "https://10.0.0.1:8790"


async def test_the_embedded_hub_has_demo(compute: AsyncComputeManager, demo: AsyncComputeUnit) -> None:
    """It is listed, and found by name, by address, by both, and as the only one there is."""
    (unit,) = await compute.list()
    assert (unit.name, unit.status, unit.cluster_type) == ("Demo", "READY", "local:process")
    host = unit.ip.partition(":")[0]
    for found in (
        demo,
        await compute.get_unit(),
        await compute.get_unit(ip_address=unit.ip),
        await compute.get_unit("Demo", host),
    ):
        assert (found.name, found.status, found.detail) == ("Demo", "READY", unit)


async def test_an_unknown_unit_is_told_with_those_there_are(compute: AsyncComputeManager) -> None:
    """By name, by address, or both: the error names what was wanted and the units of the account."""
    await register(compute, "mine", ELSEWHERE)
    for wanted in ({"name": "demo"}, {"ip_address": "10.0.0.2"}, {"name": "mine", "ip_address": "127.0.0.1"}):
        with pytest.raises(UnitNotFoundError, match=r"there are 'Demo' \(READY, .*\), 'mine' \(READY, 10") as caught:
            await compute.get_unit(**wanted)
        assert all(value in str(caught.value) for value in wanted.values())


async def test_several_that_fit_are_named(compute: AsyncComputeManager) -> None:
    """With nothing given, or a name that two have; the address then tells which one is meant."""
    mine = await register(compute, "Demo", ELSEWHERE)
    for wanted in ({}, {"name": "Demo"}):
        with pytest.raises(
            ComputeUnitError, match=r"several .*'Demo' \(READY, 127.*'Demo' \(READY, 10.*give"
        ) as caught:
            await compute.get_unit(**wanted)
        assert not isinstance(caught.value, UnitNotFoundError)
    assert (await compute.get_unit("Demo", "10.0.0.1")).detail == mine.detail


async def test_no_unit_at_all(settings: Settings) -> None:
    """The error says so, and what to do."""
    server = Server(create_app(settings.home / "plain"), Listening())
    hub = await server.start()
    async with AsyncSession(*ACCOUNT, hub=hub, settings=settings) as session:
        with pytest.raises(UnitNotFoundError, match="has none: register one"):
            await session.get_compute_manager().get_unit()
    await server.aclose(1.0)


async def test_register_keeps_what_it_is_given(compute: AsyncComputeManager) -> None:
    """Address, secrets and type come back in the listing; the secrets show nowhere."""
    made = await compute.register(
        "mine",
        f"{ELSEWHERE}/",
        rw_secret="r" * 20,
        ro_secret="o" * 20,
        cluster_type="aws:m7i",
        cpu=4,
        memory=16,
        disk=99,
    )
    unit = (await compute.get_unit("mine")).detail
    assert made.detail == unit
    assert unit == Unit(
        unit.pointer, "mine", "READY", "10.0.0.1:8790", "HTTPS", "aws:m7i", 4, 16, 99, "r" * 20, "o" * 20
    )
    assert unit.url == ELSEWHERE
    assert "rrr" not in repr(unit) + repr(made)
    assert "ooo" not in repr(unit) + repr(made)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"url": "10.0.0.1"}, "http"),
        ({"url": "https://user:hidden@host"}, r"\*\*\*@host"),
        ({"url": "https://host/path"}, "http"),
        ({"url": "https://ho st"}, "http"),
        ({"name": ""}, "name is not allowed"),
        ({"name": "a/b"}, "name is not allowed"),
        ({"rw_secret": "short"}, "16 to 1024"),
        ({"cluster_type": "aws"}, r"type\.name"),
        ({"cpu": -1}, r"type\.cpu"),
    ],
)
async def test_what_cannot_be_registered(compute: AsyncComputeManager, changed: dict[str, str], text: str) -> None:
    """The field is named, and no secret."""
    given: dict[str, Any] = {"name": "mine", "url": ELSEWHERE, "rw_secret": "r" * 20, "ro_secret": "o" * 20, **changed}
    with pytest.raises(ConfigurationError, match=text) as caught:
        await compute.register(**given)
    assert not {"hidden", "rrr", "ooo"} & {word for word in ("hidden", "rrr", "ooo") if word in str(caught.value)}


async def test_a_name_is_taken_once(compute: AsyncComputeManager) -> None:
    """A second unit of that name is refused, until the first was terminated; then the name means the second."""
    first = await register(compute, "mine", ELSEWHERE)
    with pytest.raises(ComputeUnitError, match="'mine'; choose another name"):
        await register(compute, "mine", ELSEWHERE)
    await first.terminate()
    assert (await compute.get_unit("mine")).status == "TERMINATED"
    second = await register(compute, "mine", ELSEWHERE)
    assert (await compute.get_unit("mine")).detail == second.detail
    assert [unit.status for unit in await compute.list() if unit.name == "mine"] == ["TERMINATED", "READY"]


async def test_the_life_of_a_unit(compute: AsyncComputeManager, demo: AsyncComputeUnit) -> None:
    """It stops, starts, is looked into, and ends; what was noted elsewhere is seen when it is asked."""
    other = await compute.get_unit("Demo")
    assert (await demo.stop()).status == demo.status == "STOPPED"
    assert other.status == "READY"
    assert (await other.get_status(), other.status) == ("STOPPED", "STOPPED")
    assert (await demo.start()).status == "READY"
    assert (await demo.troubleshoot())["served"] is True
    assert (await demo.terminate()).status == "TERMINATED"
    assert (await demo.terminate()).status == "TERMINATED"
    for call in (demo.start, demo.stop, demo.troubleshoot):
        with pytest.raises(ComputeUnitError, match="Demo: this unit was terminated"):
            await call()
    assert await demo.get_status() == "TERMINATED"


async def test_a_unit_served_elsewhere_is_looked_into_there(compute: AsyncComputeManager) -> None:
    """The hub says that it cannot."""
    mine = await register(compute, "mine", ELSEWHERE)
    assert (await mine.troubleshoot())["served"] is False


async def test_units_belong_to_an_account(settings: Settings) -> None:
    """A session without one says to sign in, also where a location names a unit."""
    async with AsyncSession(settings=settings) as session:
        with pytest.raises(ConfigurationError, match="sign in"):
            session.get_compute_manager()
        with pytest.raises(ConfigurationError, match="sign in"):
            await session.copy("unit:/Demo/x", "x")


async def test_after_the_end(settings: Settings) -> None:
    """What a closed session gave is of no use any more, and says so."""
    async with AsyncSession(*ACCOUNT, settings=settings) as session:
        compute = session.get_compute_manager()
        demo = await compute.get_unit()
        assert session.get_compute_manager() is compute
    with pytest.raises(SessionClosedError):
        session.get_compute_manager()
    for call in (compute.list, compute.get_unit, demo.get_status, demo.start, demo.storage.ls):
        with pytest.raises(SessionClosedError):
            await call()


async def test_signing_in_happens_on_first_use(settings: Settings) -> None:
    """The manager is had before; a wrong password is told by the first call."""
    async with AsyncSession(*ACCOUNT, settings=settings):
        pass
    session = AsyncSession(ACCOUNT[0], "wrong password", settings=settings)
    compute = session.get_compute_manager()
    with pytest.raises(AuthenticationError):
        await compute.list()
    await session.aclose()


async def test_a_hub_that_is_down(settings: Settings) -> None:
    """A hub that went away is a NetworkError that names it, for the listing and for a unit."""
    server = Server(create_app(settings.home / "plain"), Listening())
    hub = await server.start()
    async with AsyncSession(*ACCOUNT, hub=hub, settings=settings) as session:
        compute = session.get_compute_manager()
        mine = await register(compute, "mine", ELSEWHERE)
        await server.aclose(1.0)
        for call in (compute.list, compute.get_unit, mine.get_status, mine.stop):
            with pytest.raises(NetworkError, match=f"hub {hub} cannot be reached"):
                await call()


async def test_a_secret_that_the_hub_does_not_accept(settings: Settings) -> None:
    """Signing out ends what the session may: the next call says to sign in again."""
    server = Server(create_app(settings.home / "plain"), Listening())
    hub = await server.start()
    async with AsyncSession(*ACCOUNT, hub=hub, settings=settings) as session:
        await session.sign_in()
        other = AsyncSession(secrets=session.secrets, hub=hub, settings=settings)
        await other.sign_in()
        from dxflow_async.server.hub.requests import ACCOUNTS

        assert session.secrets is not None
        user = session.secrets["user"]
        await server._app[ACCOUNTS].revoke(user["pointer"], user["secret"])
        for each in (session, other):
            with pytest.raises(AuthenticationError, match="sign in again"):
                await each.get_compute_manager().list()
        await other.aclose()
    await server.aclose(1.0)


WIRE = {
    "pointer": "p",
    "name": "n",
    "status": "READY",
    "ip": "10.0.0.1",
    "protocol": "HTTP",
    "secrets": {"RW": "rw", "RO": "ro"},
    "type": {"provider": "aws", "name": "m7i", "cpu": 2, "memory": 4.5, "disk": 8},
}


def test_the_wire_form() -> None:
    """Each field has its place."""
    assert unit_of(WIRE) == Unit("p", "n", "READY", "10.0.0.1", "HTTP", "aws:m7i", 2, 4.5, 8, "rw", "ro")


@pytest.mark.parametrize(
    "changed",
    [
        {"ip": None, "secrets": None, "type": None},
        {"ip": "", "secrets": {}, "type": {}},
        {"ip": "host/../x", "secrets": {"RW": "a\r\nb", "RO": 7}, "type": {"cpu": "2", "memory": True}},
    ],
)
async def test_a_unit_that_is_not_ready_yet(session: AsyncSession, changed: dict[str, object]) -> None:
    """What another hub does not tell yet, or tells in no usable form, is empty; its storage cannot be used."""
    unit = unit_of({**WIRE, **changed, "status": "CREATING"})
    assert (unit.status, unit.ip, unit.rw_secret, unit.ro_secret, unit.cpu) == ("CREATING", "", "", "", 0)
    with pytest.raises(ComputeUnitError, match=r"unit n \(CREATING\) has no address"):
        await AsyncComputeUnit(unit, session._account, session._transfers).storage.ls()


@pytest.mark.parametrize(
    "tree",
    [{}, {"list": {}}, {"list": [7]}, {"list": [{}]}, {"list": [{**WIRE, "name": 7}]}, []],
)
async def test_what_is_no_hub(settings: Settings, tree: object) -> None:
    """An answer that makes no sense is a ServiceError that says to check the hub."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/units/"):
            return web.json_response(tree)
        return web.json_response({"user": {"pointer": "p"}})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        secrets = {"user": {"pointer": "p", "secret": "s"}, "namespace": {"pointer": "p", "secret": "s"}}
        hub = str(server.make_url("")).rstrip("/")
        async with AsyncSession(secrets=secrets, hub=hub, settings=settings) as session:
            with pytest.raises(ServiceError, match="check that hub names a hub"):
                await session.get_compute_manager().list()


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
async def test_a_hub_that_keeps_no_settings(settings: Settings, status: int) -> None:
    """Signing in to another hub works, whatever it says of a route it does not have."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/providers/"):
            return web.json_response({}, status=status)
        if request.path.endswith("/units/"):
            return web.json_response({"total": 1, "list": [WIRE]})
        return web.json_response({"user": {"pointer": "p"}})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        secrets = {"user": {"pointer": "p", "secret": "s"}, "namespace": {"pointer": "p", "secret": "s"}}
        hub = str(server.make_url("")).rstrip("/")
        async with AsyncSession(secrets=secrets, hub=hub, settings=settings) as session:
            assert (await session.get_compute_manager().get_unit()).name == "n"


def test_secrets_stay_out_of_messages() -> None:
    """A unit's secrets are in no repr."""
    secrets = UnitSecrets.generate()
    unit = unit_of({**WIRE, "secrets": secrets.to_dict()})
    assert unit.rw_secret == secrets.rw
    assert secrets.rw not in repr(unit)
    assert secrets.ro not in repr(unit)
