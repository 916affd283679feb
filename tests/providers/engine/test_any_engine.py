"""Trees at engines that behave in any combination of the ways that are possible."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import ConfigurationError, StorageError, TransferError
from dxflow_async.providers.engine.settings import EngineSettings
from tests.servers.engine import EngineServer
from tests.servers.engine_switches import QUIRKS, Switches

Life = Callable[[dict[str, Any], dict[str, bytes], dict[str, bytes]], None]

EXPECTED = (StorageError, ConfigurationError, TransferError)

NAMES = st.sampled_from(["a", "b.csv", "ü", "with space", ".hidden", "x+y&z=%", "UPPER", "upper"])
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=2).map("/".join), st.binary(max_size=40), min_size=1, max_size=5
)
COMBINATIONS = st.lists(st.sampled_from(QUIRKS), max_size=12).map(dict)


def is_tree(tree: Mapping[str, bytes]) -> bool:
    """Returns whether no file has the name of a directory."""
    return not any(other.startswith(f"{name}/") for name in tree for other in tree)


def write_tree(folder: Path, tree: Mapping[str, bytes]) -> None:
    """Writes the files of a tree."""
    for name, data in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the files of a tree that are no temporary ones of ours."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "dxflow-async-" not in path.name
    }


def check_versions(server: EngineServer, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> None:
    """Asserts that each file has its old or its new content under its name, or whole under a temporary one."""
    kept = [path.read_bytes() for path in server.root.rglob("*dxflow-async-*") if path.is_file()]
    for name, data in old.items():
        path = server.root / "runs" / name
        allowed = (data, new.get(name, data))
        assert (path.is_file() and path.read_bytes() in allowed) or data in kept or new.get(name) in kept, name


async def life_of_a_tree(folder: Path, switches: Switches, first: dict[str, bytes], second: dict[str, bytes]) -> None:
    """Uploads, lists, downloads, syncs, renames and deletes; each call ends right or with an error of ours."""
    local = folder / "local"
    hides = switches.list_hidden == "never" or switches.upload_dot_names == "refused"
    if hides:
        first = {name: data for name, data in first.items() if "/." not in f"/{name}"}
        second = {name: data for name, data in second.items() if "/." not in f"/{name}"}
    write_tree(local, first)
    local.mkdir(exist_ok=True)
    async with EngineServer(folder / "volume", switches).serve() as server:
        lab = EngineSettings(address=server.url, key=server.write_key(folder / "key.pem"))
        own = Settings(home=folder / "home", journal=False, durable=False, remotes={"lab": lab})
        async with AsyncSession(settings=own) as session:
            storage = session.get_storage_manager()
            await session.copy(f"{local}/", "lab:/runs/")
            assert contents(server.root) == {f"runs/{name}": data for name, data in first.items()}
            if first:
                listed = {item.path: item.size async for item in storage.scan("lab", "/runs/", recursive=True)}
                assert listed == {f"/runs/{name}": len(data) for name, data in first.items()}
                await session.copy("lab:/runs/", f"{folder}/back/")
                assert contents(folder / "back") == first
            write_tree(folder / "second", second)
            (folder / "second").mkdir(exist_ok=True)
            try:
                await session.sync(f"{folder}/second/", "lab:/runs/", delete=True)
            except EXPECTED:
                check_versions(server, {k: v for k, v in first.items() if k in second}, second)
            else:
                changed = {
                    name: data for name, data in second.items() if len(data) != len(first.get(name, data + b"x"))
                }
                found = contents(server.root)
                assert found.keys() == {f"runs/{name}" for name in second}
                assert all(found[f"runs/{name}"] == data for name, data in changed.items())
                check_versions(server, {k: v for k, v in first.items() if k in second}, second)
            before = contents(server.root / "runs") if (server.root / "runs").exists() else {}
            for name in list(before)[:1]:
                with suppress(*EXPECTED):
                    await session.move(f"lab:/runs/{name}", "lab:/moved/here.txt")
                after = contents(server.root)
                assert before[name] in after.values()
            (server.root / "kept").write_bytes(b"kept")
            if (server.root / "runs").exists():
                await session.delete("lab:/runs/")
            assert "kept" in contents(server.root)
            assert not any(name.startswith("runs/") for name in contents(server.root))


def run(combination: dict[str, Any], first: dict[str, bytes], second: dict[str, bytes]) -> None:
    """Runs the life of a tree at an engine of its own."""
    with TemporaryDirectory() as folder:
        asyncio.run(life_of_a_tree(Path(folder), Switches(**combination), first, second))


def lives(examples: int) -> Callable[[Life], Callable[[], None]]:
    """Returns a decorator that runs a test with so many combinations and trees."""
    trees = TREES.filter(is_tree)
    checks = settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
    )

    def decorate(test: Life) -> Callable[[], None]:
        return checks(given(combination=COMBINATIONS, first=trees, second=trees)(test))

    return decorate


@lives(6)
def test_any_combination_ends_right(
    combination: dict[str, Any], first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    """Whatever an engine does otherwise, a tree arrives whole, and no version of a file is gone."""
    run(combination, first, second)


@pytest.mark.long
@lives(400)
def test_many_combinations_end_right(
    combination: dict[str, Any], first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    """The same with many more combinations."""
    run(combination, first, second)
