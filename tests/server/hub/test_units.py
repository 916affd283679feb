"""Units of a hub: registering, listing, their life, and the one that the embedded hub serves itself."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.server.embedded import EmbeddedHub
from dxflow_async.server.hub import units
from dxflow_async.server.hub.app import create_app
from tests.server.hub.signed_in_clients import ME, YOU, Hub, signed_in
from tests.server.running_hub import RunningUnit

NEW = {"name": "mine", "ip": "10.0.0.1:8790", "protocol": "HTTPS"}


class Embedded:
    """An embedded hub, and sessions of its process."""

    def __init__(self, home: Path) -> None:
        self._hub = EmbeddedHub(home)

    async def __aenter__(self) -> Self:
        self._url = await self._hub.start()
        self._http = aiohttp.ClientSession(headers=self._hub.headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()
        await self._hub.aclose()

    async def signed_in(self, who: Mapping[str, str]) -> Hub:
        """As one of them, whose Demo is served."""
        hub = await signed_in(self._url, self._http, who)
        await self._hub.serve_demo(hub._user["pointer"])
        return hub


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Embedded]:
    """One whose home is `tmp_path`."""
    async with Embedded(tmp_path) as hub:
        yield hub


@pytest.fixture
async def plain(tmp_path: Path, http: aiohttp.ClientSession) -> AsyncIterator[Hub]:
    """A hub that serves no unit itself."""
    server = Server(create_app(tmp_path / "plain"), Listening())
    yield await signed_in(await server.start(), http)
    await server.aclose(1.0)


async def test_register_and_list(plain: Hub) -> None:
    """A registered unit is READY, has the wire form, secrets of its own, and is listed to its owner alone."""
    status, unit = await plain.request("POST", "compute/units/", body={**NEW, "type": {"cpu": 4, "memory": 16}})
    assert status == 201
    assert unit.keys() == {"pointer", "name", "status", "ip", "protocol", "secrets", "type"}
    assert (unit["name"], unit["status"], unit["ip"], unit["protocol"]) == ("mine", "READY", "10.0.0.1:8790", "HTTPS")
    assert unit["type"] == {"provider": "local", "name": "process", "cpu": 4, "memory": 16, "disk": 1}
    assert {len(secret) for secret in unit["secrets"].values()} == {43}
    assert await plain.units() == [unit]
    assert await (await signed_in(plain.url, plain._http, YOU)).units() == []


async def test_filters(plain: Hub) -> None:
    """The listing is narrowed by status and by name, in the order the units were registered."""
    made = [(await plain.request("POST", "compute/units/", body={**NEW, "name": name}))[1] for name in ("c", "a", "b")]
    await plain.request("PUT", f"/compute/units/{made[1]['pointer']}/stop/", secret=made[1]["secrets"]["RW"])
    assert [unit["name"] for unit in await plain.units()] == ["c", "a", "b"]
    assert [unit["name"] for unit in await plain.units("?status=READY")] == ["c", "b"]
    assert [unit["name"] for unit in await plain.units("?status=&name=a")] == ["a"]
    assert await plain.units("?name=a&status=READY") == []
    assert await plain.units("?name=%FF%00") == []


async def test_life(plain: Hub) -> None:
    """A unit is stopped, started and terminated with its own secret RW; terminated is final."""
    _, unit = await plain.request("POST", "compute/units/", body=NEW)
    path, rw = f"/compute/units/{unit['pointer']}/", unit["secrets"]["RW"]
    for method, action, status in (
        ("GET", "", "READY"),
        ("PUT", "stop/", "STOPPED"),
        ("PUT", "stop/", "STOPPED"),
        ("PUT", "start/", "READY"),
        ("PUT", "troubleshoot/", "READY"),
        ("DELETE", "", "TERMINATED"),
        ("DELETE", "", "TERMINATED"),
    ):
        answered, tree = await plain.request(method, path + action, secret=rw)
        assert (answered, tree["status"]) == (200, status)
        assert (await plain.units())[0]["status"] == status
    for action in ("start/", "stop/", "troubleshoot/"):
        assert (await plain.request("PUT", path + action, secret=rw))[0] == 409
    assert (await plain.request("POST", "compute/units/", body=NEW))[0] == 201  # the name is free again


async def test_a_unit_obeys_its_own_secret_only(plain: Hub) -> None:
    """Neither RO, nor the user's secret, nor another unit's, nor none, does anything to a unit."""
    units_made = [(await plain.request("POST", "compute/units/", body={**NEW, "name": name}))[1] for name in ("a", "b")]
    path = f"/compute/units/{units_made[0]['pointer']}/"
    for secret in (units_made[0]["secrets"]["RO"], units_made[1]["secrets"]["RW"], None, "", "\xff"):
        for method, action in (("GET", ""), ("PUT", "stop/"), ("DELETE", "")):
            assert (await plain.request(method, path + action, secret=secret))[0] == 401
    assert [unit["status"] for unit in await plain.units()] == ["READY", "READY"]


BAD: list[dict[str, Any]] = [
    {"name": ""},
    {"name": " a"},
    {"name": "a\nb"},
    {"name": "é" * 65},
    {"name": None},
    {"ip": ""},
    {"ip": "host/path"},
    {"ip": "user@host"},
    {"ip": "host:port"},
    {"ip": "a b"},
    {"protocol": "FTP"},
    {"protocol": "http"},
    {"secrets": None},
    {"secrets": {"RW": "x" * 16}},
    {"secrets": {"RW": "x" * 16, "RO": "x" * 16}},
    {"secrets": {"RW": "short", "RO": "x" * 16}},
    {"secrets": {"RW": "hidden-secret\r\nX: y", "RO": "x" * 16}},
    {"type": None},
    {"type": {"cpu": -1}},
    {"type": {"cpu": True}},
    {"type": {"gpu": 1}},
    {"type": {"name": 1}},
]


@pytest.mark.parametrize("wrong", BAD, ids=str)
async def test_bad_units(plain: Hub, wrong: dict[str, Any]) -> None:
    """A unit that cannot be is a 400 that names the field, and no secret."""
    status, tree = await plain.request("POST", "compute/units/", body={**NEW, **wrong})
    assert (status, tree["error"]["code"]) == (400, "invalid_field")
    assert "hidden-secret" not in str(tree)
    assert await plain.units() == []


async def test_given_secrets_and_addresses(plain: Hub) -> None:
    """Secrets may be those that a unit's server has already; an address may be a name, IPv4 or IPv6."""
    given = {"RW": "w" * 16, "RO": "r" * 16}
    for number, ip in enumerate(("localhost", "10.0.0.1", "[::1]:80", "unit-1.example.org:443")):
        body = {**NEW, "name": f"{number}", "ip": ip, "secrets": given}
        assert (await plain.request("POST", "compute/units/", body=body))[1]["secrets"] == given


async def test_names_and_numbers_are_limited(plain: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account's units have different names, and there are not more of them than the limit."""
    monkeypatch.setattr(units, "MAX_UNITS", 2)
    assert (await plain.request("POST", "compute/units/", body=NEW))[0] == 201
    assert (await plain.request("POST", "compute/units/", body=NEW))[1]["error"]["code"] == "conflict"
    assert (await plain.request("POST", "compute/units/", body={**NEW, "name": "b"}))[0] == 201
    assert (await plain.request("POST", "compute/units/", body={**NEW, "name": "c"}))[1]["error"]["code"] == "conflict"


async def test_secrets_are_sealed_at_rest(plain: Hub, tmp_path: Path) -> None:
    """No unit's secret can be read from the hub's files."""
    _, unit = await plain.request("POST", "compute/units/", body=NEW)
    content = b"".join(path.read_bytes() for path in (tmp_path / "plain").iterdir())
    assert unit["pointer"].encode() in content
    for secret in unit["secrets"].values():
        assert secret.encode() not in content


async def demo_of(hub: Hub, http: aiohttp.ClientSession, home: Path) -> RunningUnit:
    """The embedded hub's unit, as its secrets open it."""
    (unit,) = await hub.units("?name=Demo")
    secrets = UnitSecrets(unit["secrets"]["RW"], unit["secrets"]["RO"])
    url = f"{unit['protocol'].lower()}://{unit['ip']}"
    return RunningUnit(url, home / "units/Demo", http, secrets=secrets)


async def test_embedded_demo(embedded: Embedded, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Each account of an embedded hub has a unit Demo, READY, of its own: another one has other secrets and files."""
    demos = []
    for who, directory in ((ME, "Demo"), (YOU, "Demo-*")):
        mine = await embedded.signed_in(who)
        (unit,) = await mine.units("?status=READY")
        assert (unit["name"], unit["protocol"], unit["ip"].partition(":")[0]) == ("Demo", "HTTP", "127.0.0.1")
        demo = await demo_of(mine, http, tmp_path)
        assert (await demo.put("results/a", b"1")).status == 201
        (root,) = (tmp_path / "units").glob(directory)
        assert (root / "results/a").read_bytes() == b"1"
        demos.append((unit["pointer"], demo))
    (_, first), (pointer, second) = demos
    await first.put("results/mine", b"1")
    assert {each["name"] for each in (await second.request("GET", "/storage/items/?path=/results")).tree} == {"a"}
    assert (await first.request("GET", "/storage/items/?path=/", secret=second.secrets.rw)).status == 401
    again = await embedded.signed_in(ME)
    assert [each["pointer"] for each in await again.units()] != [pointer]
    assert (await again.request("GET", f"/compute/units/{pointer}/", secret=first.secrets.rw))[0] == 401


async def test_a_demo_that_was_everybodys_is_made_anew(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Of an older version's shared unit the home's first account has the files, under secrets nobody was told."""
    async with Embedded(tmp_path) as embedded:
        await (await demo_of(await embedded.signed_in(ME), http, tmp_path)).put("old", b"1")
        (old,) = await (await embedded.signed_in(ME)).units()
    database = sqlite3.connect(tmp_path / "hub.sqlite3")
    database.executescript(
        "UPDATE units SET account = NULL; ALTER TABLE units DROP COLUMN directory; DROP TABLE known_peers;"
        "ALTER TABLE sign_ins DROP COLUMN used; DROP INDEX failures_by_time; DROP INDEX failures_by_unknown_order;"
        "ALTER TABLE failures DROP COLUMN unknown_order; PRAGMA user_version = 2"
    )
    database.close()
    async with Embedded(tmp_path) as embedded:
        assert (await (await demo_of(await embedded.signed_in(YOU), http, tmp_path)).get("old")).status == 404
        mine = await embedded.signed_in(ME)
        assert (await (await demo_of(mine, http, tmp_path)).get("old")).content == b"1"
        assert (await mine.units())[0]["secrets"] != old["secrets"]


async def test_embedded_demo_obeys(embedded: Embedded, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A stopped Demo answers no request for its storage until it is started; troubleshooting says how it is."""
    mine = await embedded.signed_in(ME)
    (unit,) = await mine.units()
    demo = await demo_of(mine, http, tmp_path)
    path, rw = f"/compute/units/{unit['pointer']}/", demo.secrets.rw
    status, tree = await mine.request("PUT", f"{path}troubleshoot/", secret=rw)
    assert (status, tree["detail"]["served"], tree["detail"]["volume"]) == (200, True, "ok")
    assert tree["detail"]["free_bytes"] > 0
    assert (await mine.request("PUT", f"{path}stop/", secret=rw))[1]["status"] == "STOPPED"
    assert (await demo.request("GET", "/storage/items/?path=/")).code == "unit_stopped"
    assert (await mine.request("PUT", f"{path}start/", secret=rw))[1]["status"] == "READY"
    assert (await demo.request("GET", "/storage/items/?path=/")).status == 200
    await mine.request("DELETE", path, secret=rw)
    assert (await demo.request("GET", "/storage/items/?path=/")).code == "unit_stopped"


async def test_demo_is_back_at_the_next_start(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Whatever became of Demo, the next embedded hub has it READY, the same one, its files untouched."""
    pointers = []
    for _ in range(2):
        async with Embedded(tmp_path) as embedded:
            mine = await embedded.signed_in(ME)
            demo = await demo_of(mine, http, tmp_path)
            (unit,) = await mine.units("?status=READY")
            pointers.append(unit["pointer"])
            await demo.put(f"{len(pointers)}", b"1")
            await mine.request("DELETE", f"/compute/units/{unit['pointer']}/", secret=demo.secrets.rw)
    assert pointers[0] == pointers[1]
    assert sorted(path.name for path in (tmp_path / "units/Demo").glob("[0-9]")) == ["1", "2"]


async def test_two_embedded_hubs_share_demo(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Two hubs on one home each serve the volume, and an upload begun at one goes on at the other."""
    async with Embedded(tmp_path) as one, Embedded(tmp_path) as two:
        demos = [await demo_of(await hub.signed_in(ME), http, tmp_path) for hub in (one, two)]
        assert demos[0].url != demos[1].url
        url = (await demos[0].create("a", 6)).headers["Location"].removeprefix(demos[0].url)
        assert (await demos[1].patch(f"{demos[1].url}{url}", 0, b"123")).status == 204
        assert (await demos[0].patch(f"{demos[0].url}{url}", 3, b"456")).status == 204
        assert (await demos[1].get("a")).content == b"123456"


async def test_demo_of_another_process_is_not_listed(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """A hub that does not serve Demo lists none, though an embedded hub on the same data made it."""
    async with Embedded(tmp_path) as embedded:
        await embedded.signed_in(ME)
    server = Server(create_app(tmp_path), Listening())
    assert await (await signed_in(await server.start(), http)).units() == []
    await server.aclose(1.0)


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """An embedded hub whose Demo has no directory says so."""
    (tmp_path / "units").touch()
    async with Embedded(tmp_path) as embedded:
        with pytest.raises(ConfigurationError, match="Demo unit's volume"):
            await embedded.signed_in(ME)


async def test_a_lost_key_is_told(tmp_path: Path) -> None:
    """Secrets sealed with a key that is gone are not given as something else: the sign-in fails and names the key."""
    async with Embedded(tmp_path) as embedded:
        await embedded.signed_in(ME)
    (tmp_path / "hub.key").unlink()
    async with Embedded(tmp_path) as embedded:
        with pytest.raises(ConfigurationError, match=r"another key than .*hub\.key"):
            await embedded.signed_in(ME)


async def test_sealed_for_one_unit_only(plain: Hub, tmp_path: Path) -> None:
    """The sealed secrets of one unit, put in another's row, open nothing."""
    made = [(await plain.request("POST", "compute/units/", body={**NEW, "name": name}))[1] for name in ("a", "b")]
    database = sqlite3.connect(tmp_path / "plain/hub.sqlite3")
    with database:
        database.execute("UPDATE units SET secrets = (SELECT secrets FROM units WHERE name = 'a') WHERE name = 'b'")
    database.close()
    status, _ = await plain.request("GET", f"/compute/units/{made[1]['pointer']}/", secret=made[0]["secrets"]["RW"])
    assert status == 500
