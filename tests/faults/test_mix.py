"""What networks and services do to requests, all together and one by one: every byte arrives, and nothing is left."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from dxflow_async.models import TransferReport
from tests.faults.proxied_providers import Site, hashes, make_tree
from tests.faults.proxy import FaultProxy, Mode
from tests.sessions import MiB

_log = logging.getLogger("tests.faults")

MIX: Mapping[Mode, float] = {"reset": 0.10, "slow_down": 0.10, "stall": 0.02}


def check_attempts(proxy: FaultProxy, *reports: TransferReport) -> None:
    """There were retries, and not many more than there were faults: a loaded server stalls by itself too."""
    retries, faults = sum(report.retries for report in reports), proxy.faults.total()
    _log.warning("%d retries, %d faults %s in %d requests", retries, faults, dict(proxy.faults), proxy.requests)
    assert faults > 0
    assert 0 < retries <= 3 * faults
    assert all(result.attempts <= 40 for report in reports for result in report)


async def there_and_back(site: Site, proxy: FaultProxy, tree: Path, tmp_path: Path, stall_timeout: float) -> None:
    """A tree goes up and comes back with the settings that everybody has."""
    async with proxy.running(), site.session(tmp_path / "home", proxy.endpoint, stall_timeout=stall_timeout) as session:
        storage = await site.storage(session)
        up = await storage.upload(f"{tree}/", site / "to/")
        down = await storage.download(site / "to/", tmp_path / "back")
    assert hashes(tmp_path / "back") == hashes(tree)
    assert up.verified == down.verified == len(hashes(tree))
    site.check_nothing_left(tmp_path)
    check_attempts(proxy, up, down)


async def test_mix(site: Site, tree: Path, tmp_path: Path) -> None:
    """A tenth of all requests reset, a tenth refused and a few stalled: everything arrives, in bounded attempts."""
    await there_and_back(site, site.proxy(MIX, seed=5, applies=lambda _: True), tree, tmp_path, 2.0)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_mix_at_full_size(site: Site, tmp_path: Path) -> None:
    """The same of two thousand files and three of 200 MiB."""
    tree = make_tree(tmp_path / "tree", 2000, *[200 * MiB] * 3)
    await there_and_back(site, site.proxy(MIX, seed=5, applies=lambda _: True), tree, tmp_path, 3.0)


@pytest.mark.parametrize("call", ["upload", "sync"])
async def test_a_directory_that_is_refused_at_first(call: str, unit: Site, tmp_path: Path) -> None:
    """What makes the directory of a whole call is tried again, like every other request."""
    tree = make_tree(tmp_path / "tree", 3, 1000)
    proxy = unit.proxy({"slow_down": 1.0}, seed=1, limit=2, applies=lambda request: "/directory/" in request.target)
    async with proxy.running(), unit.session(tmp_path / "home", proxy.endpoint) as session:
        storage = await unit.storage(session)
        if call == "upload":
            await storage.upload(f"{tree}/", unit / "to/")
        else:
            (name,) = [each.name for each in await session.get_compute_manager().list() if each.name != "Demo"]
            await session.sync(f"{tree}/", f"unit:/{name}{unit / 'to/'}")
        await storage.download(unit / "to/", tmp_path / "back")
    assert proxy.faults["slow_down"] == 2
    assert hashes(tmp_path / "back") == hashes(tree)


@pytest.mark.parametrize(
    "modes",
    [
        {"too_many": 0.15},
        {"truncate": 0.15, "delay": 0.05},
        {"lost_answer": 0.15},
        {"duplicate": 0.3, "close": 0.1},
    ],
    ids=lambda modes: next(iter(modes)),
)
async def test_each(site: Site, modes: Mapping[Mode, float], tmp_path: Path) -> None:
    """Bodies cut off, answers late, lost and doubled, connections closed in between: everything arrives."""
    tree = make_tree(tmp_path / "tree", 60, 12 * MiB)
    proxy = site.proxy(modes, seed=11, applies=lambda _: True)
    async with proxy.running(), site.session(tmp_path / "home", proxy.endpoint, stall_timeout=5.0) as session:
        storage = await site.storage(session)
        await storage.upload(f"{tree}/", site / "to/")
        await storage.download(site / "to/", tmp_path / "back")
    assert hashes(tmp_path / "back") == hashes(tree)
    site.check_nothing_left(tmp_path)
    assert proxy.faults.total() > 10
