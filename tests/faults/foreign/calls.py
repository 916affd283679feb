"""Calls on one service that are tried, and what must be true after each, whatever came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.faults.foreign.attempts import OLD, SIZES, SMALL, Attempt, Operation
from tests.faults.foreign.places import RemotePlace, streamed
from tests.sessions import MiB

if TYPE_CHECKING:
    from tests.faults.foreign.world import World

__all__ = ["Deletion", "Looking", "Writing", "exists", "list_names", "read", "read_large", "scan", "scan_anew", "stat"]

Look = Callable[["World", str], Awaitable[Any]]


@dataclass(frozen=True, eq=False)
class Looking(Operation):
    """A call that changes nothing.

    Attributes:
        look: told the world and a path, which holds the small files.
        expected: what it returns.
    """

    look: Look
    expected: Any

    async def prepare(self, world: World) -> Attempt:
        place = world.remote()
        await place.put(self.contents(world))
        return LookingAttempt(self, world, place)


class LookingAttempt(Attempt):
    """One such call."""

    def __init__(self, looking: Looking, world: World, place: RemotePlace) -> None:
        self._looking = looking
        self._world = world
        self._place = place

    async def run(self) -> Any:
        return await self._looking.look(self._world, self._place.path)

    async def complaints(self, result: Any, error: BaseException | None) -> list[str]:
        if error is not None or result == self._looking.expected:
            return []
        return [f"the result is not right: {result!r:.150}"]


@dataclass(frozen=True, eq=False)
class Deletion(Operation):
    """A deletion.

    Attributes:
        names: what is deleted; None: the whole directory.
    """

    names: tuple[str, ...] | None

    async def prepare(self, world: World) -> Attempt:
        place = world.remote()
        await place.put(SMALL)
        return DeletionAttempt(self, world, place)


class DeletionAttempt(Attempt):
    """One deletion."""

    def __init__(self, deletion: Deletion, world: World, place: RemotePlace) -> None:
        self._names = deletion.names
        self._world = world
        self._place = place

    async def run(self) -> Any:
        path: str = self._place.path
        names = f"{path}/" if self._names is None else [f"{path}/{name}" for name in self._names]
        return await self._world.storage.delete(names)

    async def complaints(self, result: Any, error: BaseException | None) -> list[str]:
        left, names = await self._place.files(), SMALL if self._names is None else self._names
        lost = [name for name in SMALL if name not in left and name not in names]
        found = [f"{name} was deleted, which nobody asked for" for name in lost]
        if error is None:
            found += [f"{name} is reported as deleted, and is there" for name in names if name in left]
        return found


@dataclass(frozen=True, eq=False)
class Writing(Operation):
    """A stream that is stored over an older object."""

    async def prepare(self, world: World) -> Attempt:
        place = world.remote()
        name, data = next(iter(self.contents(world).items()))
        await place.put({name: OLD["a.bin"]})
        return WritingAttempt(world, place, name, data)


class WritingAttempt(Attempt):
    """One such stream."""

    def __init__(self, world: World, place: RemotePlace, name: str, data: bytes) -> None:
        self._world = world
        self._place = place
        self._name = name
        self._data = data
        # Of a stream the provider's smallest size is not looked at.
        self._part_size = (5 if world.site.name == "AWS" else 1) * MiB

    async def run(self) -> Any:
        with self._world.parts_of(self._part_size):
            return await self._world.storage.write(f"{self._place.path}/{self._name}", streamed(self._data))

    async def complaints(self, result: Any, error: BaseException | None) -> list[str]:
        stored = (await self._place.files()).get(self._name)
        found = []
        if stored not in (self._data, OLD["a.bin"]):
            found.append(f"{self._name} is neither the old object nor the new one")
        if error is None and stored != self._data:
            found.append(f"{self._name} is reported as stored, and is not right")
        return found


async def read(world: World, path: str) -> bytes:
    """The bytes of an object."""
    return b"".join([chunk async for chunk in world.storage.read(f"{path}/a.bin")])


async def read_large(world: World, path: str) -> bool:
    """Whether a large object is read as it is."""
    read = b"".join([chunk async for chunk in world.storage.read(f"{path}/large.bin")])
    return read == world.large(SIZES[world.site.name])


async def scan(world: World, path: str) -> list[tuple[str, int]]:
    """Names and sizes in a directory and below."""
    items = [item async for item in world.storage.scan(path=f"{path}/")]
    return sorted((item.path[len(path) + 1 :], item.size) for item in items if not item.directory)


async def list_names(world: World, path: str) -> list[str]:
    """The names in a directory."""
    return sorted(item.name for item in await world.storage.list(path=f"{path}/"))


async def stat(world: World, path: str) -> int:
    """An object's size."""
    return int((await world.storage.stat(f"{path}/a.bin")).size)


async def exists(world: World, path: str) -> tuple[bool, bool]:
    """Of an object that is there, and of one that is not."""
    return await world.storage.exists(f"{path}/a.bin"), await world.storage.exists(f"{path}/none.bin")


async def scan_anew(world: World, path: str) -> list[tuple[str, int]]:
    """As `scan`; the unit is asked what it can do before."""
    world.session._resolver.volumes._providers.clear()
    return await scan(world, path)
