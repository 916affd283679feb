"""Foreign answers to every request of every kind: nothing is lost, and nothing wrong is believed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from time import monotonic

import pytest

from tests.faults.foreign.attempts import Operation
from tests.faults.foreign.matrix import Combination, Makers, every_combination, some_combinations
from tests.faults.foreign.operations import DAILY_LARGE, LARGE, OPERATIONS
from tests.faults.foreign.proxy import Seen
from tests.faults.foreign.verbs import VERBS
from tests.faults.foreign.world import World, opened
from tests.faults.proxied_providers import Site
from tests.faults.proxy import Dialect

pytestmark = pytest.mark.server

_log = logging.getLogger("tests.faults")

_LONG = 1.0
"""Seconds after which a trial is mentioned."""

_MAKERS: dict[Dialect, dict[Operation, Mapping[str, Seen]]] = {}

GROUPS = [
    pytest.param(
        dialect, group, marks=[pytest.mark.long] if group.lower() == "parts" and dialect.lower() != "aws" else []
    )
    for dialect, groups in VERBS.items()
    for group in groups
]
VERBS_ALONE = [(dialect, verb) for dialect, groups in VERBS.items() for verbs in groups.values() for verb in verbs]


async def makers_of(world: World, operations: Iterable[Operation]) -> Makers:
    """What requests the operations make at a service, found out once."""
    found = _MAKERS.setdefault(world.site.name, {})
    for operation in operations:
        if operation not in found and world.site.name in (operation.only or VERBS):
            found[operation] = await world.seen(operation)
    return {operation: found[operation] for operation in operations if operation in found}


async def check(world: World, combinations: Iterable[Combination]) -> Counter[str]:
    """Tries the combinations; how many there were of each verb."""
    wrong: list[str] = []
    count: Counter[str] = Counter()
    for combination in combinations:
        began = monotonic()
        found = await world.tried(combination.operation, combination.rule, ends_well=combination.ends_well)
        if (seconds := monotonic() - began) > _LONG:
            _log.warning("%s took %.1f s", combination, seconds)
        wrong += [f"{combination}: {text}" for text in found]
        count[combination.verb] += 1
    _log.warning("%d combinations, %d complaints", count.total(), len(wrong))
    assert not wrong, "\n".join([f"{len(wrong)} complaints", *wrong])
    return count


@pytest.mark.parametrize(("dialect", "group"), GROUPS, ids=lambda value: value.lower())
async def test_every_answer(tried: Site, other: Site, group: str, tmp_path: Path) -> None:
    """Each foreign answer to each kind of request: nothing is lost, nothing wrong is believed, and it ends."""
    verbs = VERBS[tried.name][group]
    large = [operation for operation in LARGE if operation.name in DAILY_LARGE]
    async with opened(tried, other, tmp_path) as world:
        makers = await makers_of(world, large if group == "parts" else OPERATIONS)
        count = await check(world, some_combinations(tried.name, verbs, makers))
    assert set(count) == set(verbs)  # operations make such requests


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("dialect", "verb"), VERBS_ALONE, ids=lambda value: value.replace(" ", "-").lower())
async def test_every_combination(tried: Site, other: Site, verb: str, tmp_path: Path) -> None:
    """The same with every operation that makes such a request, at each of its first three, once and for ever."""
    async with opened(tried, other, tmp_path) as world:
        makers = await makers_of(world, (*OPERATIONS, *LARGE))
        await check(world, every_combination(tried.name, verb, makers))
