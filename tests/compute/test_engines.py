"""Engines as compute units: every documented call works on them, and no account is there or asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.blocking.session import Session
from dxflow_async.exceptions import ComputeUnitError, ConfigurationError, UnitNotFoundError
from dxflow_async.models import ItemList
from dxflow_async.providers.engine.settings import EngineSettings
from tests.servers.engine import EngineServer
from tests.servers.engine_thread import engine_on_a_thread


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineServer]:
    """An engine on a thread of its own, as it is on another machine."""
    with engine_on_a_thread(tmp_path / "volume") as server:
        yield server


@pytest.fixture
def settings(engine: EngineServer, tmp_path: Path) -> Settings:
    """An engine is the unit `lab`. No hub can be reached."""
    unit = EngineSettings(address=engine.url, key=engine.write_key(tmp_path / "key.pem"))
    return Settings(home=tmp_path / "home", hub="http://127.0.0.1:1", units={"lab": unit})


async def test_the_calls_of_a_unit(settings: Settings, engine: EngineServer, tmp_path: Path) -> None:
    """Upload, list, download, copy, move and delete work as on any unit, without an account."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"aaa")
    async with AsyncSession(settings=settings) as session:
        unit = await session.get_compute_manager().get_unit(name="lab")
        assert (unit.name, unit.status) == ("lab", "READY")
        await unit.storage.upload(f"{tmp_path}/in/", "/runs/")
        assert [item.path for item in await unit.storage.ls("/runs/")] == ["/runs/a"]
        assert [item.path for item in await unit.storage.list("/volume/", recursive=True)] == ["/runs/a"]
        await unit.storage.download("/runs/a", tmp_path / "b")
        assert (tmp_path / "b" / "a").read_bytes() == b"aaa"
        await session.copy("unit:/lab/runs/a", "unit:/lab/runs/copied")
        await session.move("unit:/lab/runs/copied", "unit:/lab/moved")
        assert (engine.root / "moved").read_bytes() == b"aaa"
        assert await unit.storage.exists("/runs/a")
        assert await unit.storage.delete("/runs/") == 1
        assert not (engine.root / "runs").exists()
        assert await unit.storage.try_delete("/moved")


async def test_what_no_hub_manages(settings: Settings) -> None:
    """Such a unit cannot be started, stopped or terminated, and the error says so; its state is that of the engine."""
    async with AsyncSession(settings=settings) as session:
        unit = await session.get_compute_manager().get_unit()
        for call in (unit.start, unit.stop, unit.terminate):
            with pytest.raises(ComputeUnitError, match="lab is an engine that no hub manages"):
                await call()
        assert await unit.get_status() == "READY"
        found = await unit.troubleshoot()
        assert (found["served"], found["generation"]) == (True, "artifact")
        with pytest.raises(UnitNotFoundError, match="there are 'lab'"):
            await session.get_compute_manager().get_unit(name="other")


async def test_an_engine_that_is_away(tmp_path: Path, engine: EngineServer) -> None:
    """A unit whose engine does not answer is found, and its status says so."""
    away = EngineSettings(address="http://127.0.0.1:1", key=engine.write_key(tmp_path / "key.pem"))
    settings = Settings(home=tmp_path / "home", max_attempts=1, units={"away": away})
    async with AsyncSession(settings=settings) as session:
        unit = await session.get_compute_manager().get_unit(ip_address="127.0.0.1")
        assert unit.status == "UNREACHABLE"
        assert (await unit.troubleshoot())["served"] is False


async def test_beside_an_account(settings: Settings, tmp_path: Path) -> None:
    """The units of an account and the engines are in one list; an engine is found without asking the hub."""
    own = Settings(home=tmp_path / "home", units=settings.units)
    async with AsyncSession("you@example.com", "password", settings=own) as session:
        compute = session.get_compute_manager()
        assert [(unit.name, unit.status) for unit in await compute.list()] == [("Demo", "READY"), ("lab", "UNKNOWN")]
        assert (await compute.get_unit()).name == "Demo"
        assert (await compute.get_unit(name="lab")).name == "lab"


def test_the_blocking_calls(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocking twins print and return the same."""
    with Session(settings=settings) as session:
        unit = session.get_compute_manager().get_unit(name="lab")
        unit.storage.write("/a", b"x")
        unit.storage.ls()
        assert capsys.readouterr().out.split()[-1] == "a"
        listed: ItemList = unit.storage.list("/", return_info=True)
        assert [item.name for item in listed] == ["a"]
        assert unit.get_status() == "READY"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[units.lab]\nkey = "x"\n', r"config\.toml:1: units\.lab names no engine"),
        ('[units.lab]\nengine = "lab"\n', r"config\.toml:2: units\.lab\.engine = 'lab'"),
        ('[units.lab]\nengine = "http://lab"\nkye = "x"\n', r"config\.toml:3: unknown setting .*did you mean key"),
        ('[units."a/b"]\nengine = "http://lab"\n', "unit name 'a/b' is not allowed"),
        ("units = 3\n", "units must be a table"),
    ],
)
def test_units_in_the_file(text: str, reason: str, tmp_path: Path) -> None:
    """A setting that is not valid is an error that names file and line."""
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        Settings.load(home=tmp_path)
