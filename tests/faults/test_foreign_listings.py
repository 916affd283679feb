"""Listings that are not what was asked for: nothing is deleted, moved or left out because of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dxflow_async.exceptions import DxflowError
from tests.faults.foreign.answers import ANSWERS, Changed, Instead
from tests.faults.foreign.attempts import Operation
from tests.faults.foreign.listings import LISTINGS, MORE, OUTSIDE, plain_names
from tests.faults.foreign.operations import OPERATIONS
from tests.faults.foreign.places import LocalPlace, RemotePlace
from tests.faults.foreign.proxy import Rule
from tests.faults.foreign.world import World, opened
from tests.faults.proxied_providers import Site
from tests.faults.proxy import Dialect

pytestmark = pytest.mark.server

_DAILY = ("sync down", "sync up", "move down", "move within", "delete directory", "scan")
_FILES = 210
"""More than are in a first page of a tree."""


async def check(world: World, operations: Sequence[Operation]) -> None:
    """Tries each wrong page, once and for ever; an object outside of what is listed stays as it is."""
    bystander = RemotePlace(world.direct, world.site / OUTSIDE.partition("/")[0], "")
    content = {OUTSIDE.partition("/")[2]: b"precious" * 1250}
    await bystander.put(content)
    wrong, count = [], 0
    for operation in operations:
        for name, listing in LISTINGS[world.site.name].items():
            for once in (True, False) if name != "repeats its token" else (False,):
                ends_well = once and name in ("another kind", "ends after an item")
                rule = Rule.of("list", listing(), once=once)
                found = await world.tried(operation, rule, ends_well=ends_well)
                if await bystander.files() != content:
                    found.append("an object outside of the directory was touched")
                    await bystander.put(content)
                wrong += [f"{operation.name}: {name}, {'once' if once else 'always'}: {text}" for text in found]
                count += 1
    assert count
    assert not wrong, "\n".join([f"{len(wrong)} complaints", *wrong])


@pytest.mark.parametrize("dialect", LISTINGS, ids=str.lower)
async def test_wrong_pages(tried: Site, other: Site, tmp_path: Path) -> None:
    """Pages cut, of another kind, with foreign names, or with tokens that lead nowhere do no harm."""
    async with opened(tried, other, tmp_path) as world:
        operations = [operation for operation in OPERATIONS if operation.name in _DAILY]
        await check(world, [each for each in operations if "list" in await world.seen(each)])


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dialect", LISTINGS, ids=str.lower)
async def test_wrong_pages_of_every_operation(tried: Site, other: Site, tmp_path: Path) -> None:
    """The same for everything that lists."""
    async with opened(tried, other, tmp_path) as world:
        await check(world, [each for each in OPERATIONS if "list" in await world.seen(each)])


@pytest.mark.parametrize("dialect", MORE, ids=str.lower)
async def test_further_pages(tried: Site, other: Site, dialect: Dialect, tmp_path: Path) -> None:
    """Where a foreign answer stands for the second page, a sync that deletes fails, and deletes nothing."""
    files = {f"f{number:03}": b"%d" % number for number in range(_FILES)}
    instead = [answer for answer in ANSWERS.values() if isinstance(answer, Instead) and not answer.reaches]
    async with opened(tried, other, tmp_path) as world:
        source, target = world.remote(), LocalPlace(tmp_path / "target")
        await source.put(files)
        await world.session.sync(source.location, target.location)
        for answer in (*instead, ANSWERS["half"]):
            rule = Rule(lambda verb, request: verb == "list" and MORE[dialect] in request.target, answer)
            async with world.proxy.giving(rule):
                with pytest.raises(DxflowError):
                    await world.session.sync(source.location, target.location, delete=True)
                assert world.proxy.given, answer.name
            assert await target.files() == files, answer.name


@pytest.mark.parametrize("dialect", ["AWS"], ids=str.lower)
async def test_server_that_encodes_no_names(tried: Site, other: Site, tmp_path: Path) -> None:
    """Names are decoded only where the page says that they are encoded: none is taken for another one."""
    files = {"r/a b": b"SPACE", "r/a+b": b"PLUS", "r/a%41": b"PERCENT", "p+q/x": b"mine", "p q/x": b"precious"}
    async with opened(tried, other, tmp_path) as world:
        source, target = world.remote(), LocalPlace(tmp_path / "target")
        await source.put(files)
        async with world.proxy.giving(Rule.of("list", Changed("plain names", plain_names))):
            await world.session.sync(source.location, target.location, delete=True)
            again = await world.session.sync(source.location, target.location, delete=True)
            await world.storage.delete(f"{source.path}/p+q/")
        assert await target.files() == files
        assert len(again) == 0
        assert sorted(await source.files()) == sorted(files.keys() - {"p+q/x"})
