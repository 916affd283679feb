"""Compute units, from threads without a loop: what their twins do, and what is printed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dxflow_async import Settings, Unit
from dxflow_async.blocking.compute import ComputeManager, ComputeUnit
from dxflow_async.blocking.session import Session
from dxflow_async.blocking.tables import print_units
from dxflow_async.exceptions import (
    ComputeUnitError,
    ConfigurationError,
    NotFoundError,
    SessionClosedError,
    UnitNotFoundError,
)


@pytest.fixture
def compute(session: Session) -> ComputeManager:
    """The account's units."""
    return session.get_compute_manager()


@pytest.fixture
def demo(compute: ComputeManager) -> ComputeUnit:
    """The embedded hub's unit."""
    return compute.get_unit(name="Demo")


@pytest.fixture
def volume(home: Path) -> Path:
    """What Demo serves."""
    return home / "units" / "Demo"


def test_list_prints_a_table(compute: ComputeManager, capsys: pytest.CaptureFixture[str]) -> None:
    """With the documented columns; with `return_info` it returns the units and prints nothing."""
    (unit,) = compute.list(return_info=True)
    assert capsys.readouterr().out == ""
    compute.list()
    header, row = capsys.readouterr().out.splitlines()
    assert header.split("  ")[0].strip() == "Name"
    assert header.split() == ["Name", "Status", "IP", "Cluster", "Type", "CPU", "Memory(GB)", "Disk"]
    assert row.split() == ["Demo", "READY", unit.ip, "local:process", "1", "1", "1"]


def test_the_table_is_aligned_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns stand below each other, numbers on the right, and no name commands the terminal."""
    units = [
        Unit("p", "a long name", "READY", "10.0.0.1:80", "HTTP", "aws:m7i.large", 16, 64.5, 1000),
        Unit("q", "x\x1b[31m", "STOPPED", "h", "HTTP", ":"),
    ]
    print_units(units)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Name         Status   IP           Cluster Type   CPU  Memory(GB)  Disk",
        "a long name  READY    10.0.0.1:80  aws:m7i.large   16        64.5  1000",
        "x\\x1b[31m    STOPPED  h            :                0           0     0",
    ]
    print_units([])
    assert capsys.readouterr().out.split() == lines[0].split()


def test_get_unit(compute: ComputeManager, demo: ComputeUnit) -> None:
    """By name, or the only one; an unknown one is told with those there are."""
    assert compute.get_unit().detail == demo.detail
    assert (demo.name, demo.status) == ("Demo", "READY")
    assert repr(demo) == f"<ComputeUnit 'Demo' READY at {demo.detail.ip}>"
    with pytest.raises(UnitNotFoundError, match="there are 'Demo'"):
        compute.get_unit("other")


def test_the_life_of_a_unit(compute: ComputeManager, demo: ComputeUnit) -> None:
    """Registering, stopping, starting, looking into, ending."""
    mine = compute.register("mine", "http://10.0.0.1", rw_secret="r" * 16, ro_secret="o" * 16, cpu=2)
    assert (mine.name, mine.detail.cpu) == ("mine", 2)
    assert demo.stop().status == demo.status == demo.get_status() == "STOPPED"
    assert demo.start().status == "READY"
    assert demo.troubleshoot()["served"] is True
    assert mine.terminate().status == "TERMINATED"
    with pytest.raises(ComputeUnitError, match="mine"):
        mine.start()


def test_ls_prints_what_is_documented(demo: ComputeUnit, volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Type, size in ten places, local time, name, in the order the unit sends; recursively, names below the path."""
    (volume / "dir").mkdir()
    (volume / "dir" / "preview.png").write_bytes(bytes(137484))
    for path in (volume / "dir" / "preview.png", volume / "dir"):
        os.utime(path, (0, time.mktime((2024, 12, 12, 9, 31, 58, 0, 0, -1))))
    demo.storage.ls()
    size = (volume / "dir").stat().st_size
    assert capsys.readouterr().out == f"d {size:>10} 2024-12-12 09:31:58 dir\n"
    demo.storage.ls("/dir")
    assert capsys.readouterr().out == "-     137484 2024-12-12 09:31:58 preview.png\n"
    demo.storage.list("/", True)
    assert capsys.readouterr().out == "-     137484 2024-12-12 09:31:58 dir/preview.png\n"
    (item,) = demo.storage.list("/", return_info=True)
    assert (item.name, item.directory) == ("dir", True)
    assert [item.name for item in demo.storage.list("/", True, True)] == ["preview.png"]
    assert capsys.readouterr().out == ""


def test_every_call_of_the_storage(
    demo: ComputeUnit, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each does what its twin does."""
    monkeypatch.chdir(tmp_path)
    storage = demo.storage
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(b"123")
    assert storage.upload("tree", "/in/").verified == 1
    assert storage.upload_many([("tree/a", "/in/b")]).bytes == 3
    storage.write("/in/c", b"456")
    storage.mkdir("/empty/inner")
    assert sorted(item.path for item in storage.scan()) == ["/empty/inner/", "/in/b", "/in/c", "/in/tree/a"]
    assert (storage.stat("/in/c").size, storage.exists("/in/c"), storage.exists("/in/d")) == (3, True, False)
    assert b"".join(storage.read("/in/c", 1)) == b"56"
    storage.copy("/in/c", "/in/d")
    storage.move("/in/tree", "/moved")
    storage.download("/moved", "back")
    storage.download("/in/d")
    storage.download_many([("/in/b", "many/b")])
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("[abd]") if path.is_file()}
    assert {"back/moved/a", "d", "many/b"} <= found
    with pytest.raises(NotFoundError, match="no local directory"):
        storage.download("/in/d", "none", create_dir=False)
    assert storage.delete("/moved") + storage.delete(["/in/b", "/in/c"]) == 3
    assert {path.name for path in volume.iterdir()} - {".dx-uploads"} == {"empty", "in"}
    assert [path.name for path in (volume / "in").iterdir()] == ["d"]


def test_a_session_that_nobody_holds_lives_with_its_unit(home: Path) -> None:
    """As in `Session(...).get_compute_manager().get_unit().storage.ls()`."""
    assert home
    storage = Session("your@email.com", "your_password").get_compute_manager().get_unit().storage
    storage.write("/a", b"1")
    assert storage.exists("/a")
    session = storage._session
    assert isinstance(session, Session)
    session.close()
    with pytest.raises(SessionClosedError):
        storage.ls()


def test_no_account_no_units(home: Path) -> None:
    """It says to sign in."""
    with Session(settings=Settings(home=home)) as session, pytest.raises(ConfigurationError, match="sign in"):
        session.get_compute_manager()
