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
from tests.servers.engine_versions import KeptVersions

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


async def life_of_a_tree(folder: Path, switches: Switches, first: dict[str, bytes], second: dict[str, bytes]) -> None:
    """Uploads, lists, downloads, syncs, renames and deletes; each call ends right or with an error of ours.

    At each request the engine records whether a version of each file is there.
    """
    if switches.list_hidden == "never" or switches.upload_dot_names == "refused":
        first = {name: data for name, data in first.items() if "/." not in f"/{name}"}
        second = {name: data for name, data in second.items() if "/." not in f"/{name}"}
    for name, tree in (("local", first), ("second", second)):
        (folder / name).mkdir()
        write_tree(folder / name, tree)
    async with EngineServer(folder / "volume", switches).serve() as server:
        kept = KeptVersions(server)
        lab = EngineSettings(address=server.url, key=server.write_key(folder / "key.pem"))
        home, authority = folder / "home", server.authority
        own = Settings(home=home, journal=False, durable=False, remotes={"lab": lab}, ca_bundle=authority)
        async with AsyncSession(settings=own) as session:
            try:
                await upload_and_download(session, server, kept, folder, first)
                await sync_another(session, server, kept, folder, first, second)
                await move_files(session, server, kept)
                await delete_a_tree(session, server, kept)
            finally:
                assert kept.lost == []


async def upload_and_download(
    session: AsyncSession, server: EngineServer, kept: KeptVersions, folder: Path, tree: dict[str, bytes]
) -> None:
    """A tree arrives whole, is listed with its sizes, and comes back."""
    await session.copy(f"{folder}/local/", "lab:/runs/")
    assert contents(server.root) == {f"runs/{name}": data for name, data in tree.items()}
    for name, data in tree.items():
        kept.expect(name, data)
    if tree:
        storage = session.get_storage_manager()
        listed = {item.path: item.size async for item in storage.scan("lab", "/runs/", recursive=True)}
        assert listed == {f"/runs/{name}": len(data) for name, data in tree.items()}
        await session.copy("lab:/runs/", f"{folder}/back/")
        assert contents(folder / "back") == tree
        name = next(iter(tree))
        assert (await storage.stat(f"/runs/{name}", "lab")).size == len(tree[name])


async def sync_another(
    session: AsyncSession,
    server: EngineServer,
    kept: KeptVersions,
    folder: Path,
    first: dict[str, bytes],
    second: dict[str, bytes],
) -> None:
    """Another tree takes the place of the first one; what is the same may be either."""
    for name, data in first.items():
        kept.expect(name, data, second.get(name, data))
    kept.forget(name for name in first if name not in second)  # the sync deletes these
    try:
        await session.sync(f"{folder}/second/", "lab:/runs/", delete=True)
    except EXPECTED:
        return
    found = contents(server.root)
    assert found.keys() == {f"runs/{name}" for name in second}
    for name, data in second.items():
        old = first.get(name)
        assert found[f"runs/{name}"] == data or (old is not None and len(old) == len(data)), name
    await session.sync("lab:/runs/", f"{folder}/down/", delete=True)
    assert contents(folder / "down") == {name.removeprefix("runs/"): data for name, data in found.items()}


async def move_files(session: AsyncSession, server: EngineServer, kept: KeptVersions) -> None:
    """A file gets a new name, and then that of another file; a directory gets a new name, or keeps its own."""
    before = contents(server.root / "runs") if (server.root / "runs").exists() else {}
    for name, data in before.items():
        kept.expect(name, data)
    names = list(before)
    for name in names[:1]:
        with suppress(*EXPECTED):
            await session.move(f"lab:/runs/{name}", "lab:/moved/here.txt")
        assert before[name] in contents(server.root).values()
    for name in names[1:2]:
        kept.expect(names[0], before[names[0]], before[name])  # it is replaced
        with suppress(*EXPECTED):
            await session.move(f"lab:/runs/{name}", "lab:/moved/here.txt")
        assert before[name] in contents(server.root).values()
    if names[2:]:
        with suppress(*EXPECTED):
            await session.move("lab:/runs/", "lab:/elsewhere/")
        found = contents(server.root)
        assert all(before[name] in found.values() for name in names[2:])


async def delete_a_tree(session: AsyncSession, server: EngineServer, kept: KeptVersions) -> None:
    """A tree is deleted, and nothing else."""
    (server.root / "kept").write_bytes(b"kept")
    kept.forget()
    kept.expect("kept", b"kept")
    for top in ("runs", "elsewhere"):
        if (server.root / top).exists():
            await session.delete(f"lab:/{top}/")
        assert not (server.root / top).exists()
    assert "kept" in contents(server.root)


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
