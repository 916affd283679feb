"""What is tried while a service's answers are foreign, and what must be true afterwards, whatever came of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from dxflow_async.exceptions import TransferError
from tests.faults.foreign.places import Files, Place, RemotePlace, streamed
from tests.faults.foreign.proxy import REFUSAL, Rule
from tests.faults.proxy import Dialect
from tests.sessions import MiB

if TYPE_CHECKING:
    from tests.faults.foreign.world import World

__all__ = ["DAILY_LARGE", "LARGE", "OPERATIONS", "Attempt", "Operation", "Transfer"]

Where = Literal["local", "remote", "other"]
"""This machine, the service with foreign answers, or another service without any."""


def _bytes(seed: int, size: int) -> bytes:
    return Random(seed).randbytes(size)


SMALL: Files = {"a.bin": _bytes(1, 10_000), "b.bin": _bytes(2, 10_000), "c/d e.bin": _bytes(3, 3_000)}
OLD: Files = {"a.bin": _bytes(4, 10_000), "b.bin": SMALL["b.bin"], "extra.bin": _bytes(5, 10_000)}
"""What is at the destination before: another version of the same size, the same, and one that the source has not."""

_LAST = 300_000
"""Bytes of a large file's last part."""

_SIZES = {"AWS": 5 * MiB + _LAST, "AZURE": 2 * MiB + _LAST, "UNIT": 2 * MiB + _LAST, "GCP": 8 * MiB + _LAST}
"""Bytes of a file that is sent in parts of 1 MiB, or of the provider's smallest."""


class Attempt(ABC):
    """An operation that is prepared and not made yet."""

    @abstractmethod
    async def run(self) -> Any:
        """Makes the call."""

    @abstractmethod
    async def complaints(self, result: Any, error: BaseException | None) -> list[str]:
        """What is wrong after it returned `result`, or raised `error`."""


@dataclass(frozen=True, eq=False)
class Operation(ABC):
    """A call, or several.

    Attributes:
        name: what it is.
        large: whether a large file is moved, in parts.
        only: the services at which it says something else than others; none: all.
        verbs: the requests that it is there for; none: whatever it makes.
    """

    name: str
    large: bool = field(default=False, kw_only=True)
    only: tuple[Dialect, ...] = field(default=(), kw_only=True)
    verbs: tuple[str, ...] = field(default=(), kw_only=True)

    @abstractmethod
    async def prepare(self, world: World) -> Attempt:
        """Makes what it needs, in places of its own."""

    def contents(self, world: World) -> Files:
        """What is moved."""
        if not self.large:
            return SMALL
        return {"large.bin": world.large(_SIZES[world.site.name])}


# Transfers


@dataclass(frozen=True, eq=False)
class Transfer(Operation):
    """What moves files from one place to another.

    Attributes:
        call: the session's method.
        source, target: where from and to.
        one: whether one file is named, and not its directory.
        part_size: bytes of a part.
        resumes: whether it is gone on with after an earlier process got to a part of it.
    """

    call: Literal["copy", "move", "sync"]
    source: Where
    target: Where
    one: bool = False
    part_size: int = MiB
    resumes: bool = False

    async def prepare(self, world: World) -> Attempt:
        source, target = world.place(self.source), world.place(self.target)
        contents = self.contents(world)
        if self.one:
            contents = {"a.bin": contents["a.bin"]}
        old = {"large.bin": OLD["a.bin"]} if self.large else OLD
        if self.one:
            old = {name: old[name] for name in contents}
        elif world.site.name == "UNIT" and self.call == "move" and self.source == self.target:
            old = {}  # no directory takes the place of one that is not empty
        await source.put(contents)
        await target.put(old)
        attempt = TransferAttempt(self, world, source, target, contents, old)
        if self.resumes:
            await attempt.break_off()
        return attempt


class TransferAttempt(Attempt):
    """One transfer."""

    def __init__(
        self, transfer: Transfer, world: World, source: Place, target: Place, contents: Files, old: Files
    ) -> None:
        self._transfer = transfer
        self._world = world
        self._source = source
        self._target = target
        self._contents = contents
        self._old = old
        self._job_id: str | None = None

    async def run(self) -> Any:
        session = self._world.session
        if self._job_id is not None:
            return await session.resume(self._job_id)
        source, target = f"{self._source.location}/", f"{self._target.location}/"
        if self._transfer.one:
            source, target = f"{source}a.bin", f"{target}a.bin"
        with self._world.parts_of(self._transfer.part_size):
            if self._transfer.call == "sync":
                return await session.sync(source, target, delete=True)
            return await getattr(session, self._transfer.call)(source, target)

    async def break_off(self) -> None:
        """Makes the call fail when a part of the file was moved."""
        async with self._world.proxy.giving(Rule(lambda _, request: request.moves_object, REFUSAL, first=2)):
            try:
                await self.run()
            except TransferError as error:
                self._job_id = error.report.job_id
        assert self._job_id is not None

    async def complaints(self, result: Any, error: BaseException | None) -> list[str]:
        source, target = await self._source.files(), await self._target.files()
        found = []
        moves, syncs = self._transfer.call == "move", self._transfer.call == "sync"
        for name, data in self._contents.items():
            right = target.get(name) == data
            if name in target and target[name] not in (data, self._old.get(name)):
                found.append(f"{name} at the destination is neither the old file nor the new one")
            if name not in source and not (moves and right):
                found.append(f"{name} is LOST: neither at the source nor right at the destination")
            if name in source and source[name] != data:
                found.append(f"{name} was changed at the source")
            if syncs and name in self._old and name not in target:
                found.append(f"{name} was deleted by the sync, and the source has it")
            if error is None and not right:
                found.append(f"{name} is reported as done, and is not right")
            if error is None and moves and name in source:
                found.append(f"{name} is reported as moved, and is at the source still")
        found += [f"{name} was left behind" for name in target if name not in {**self._contents, **self._old}]
        if not syncs and "extra.bin" in self._old and target.get("extra.bin") != self._old["extra.bin"]:
            found.append("extra.bin was changed, which nobody asked for")
        if syncs and error is None and "extra.bin" in self._old and "extra.bin" in target:
            found.append("extra.bin is reported as deleted, and is there")
        return found + _believed(error, self._contents, target)


def _believed(error: BaseException | None, contents: Files, target: Mapping[str, bytes]) -> list[str]:
    """Of a transfer that failed, the items that are reported as done and are not right."""
    if not isinstance(error, TransferError):
        return []
    done = [result.destination for result in error.report if result.error is None and result.skipped is None]
    return [
        f"{name} is in the report as done, and is not right"
        for name, data in contents.items()
        if target.get(name) != data and any(place.endswith(f"/{name}") for place in done)
    ]


# Other calls

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


@dataclass(frozen=True, eq=False)
class Abandoned(Operation):
    """An upload in parts that the service does not take to its end: what it has of it is removed."""

    async def prepare(self, world: World) -> Attempt:
        source, target = world.place("local"), world.remote()
        contents = self.contents(world)
        await source.put(contents)
        return AbandonedAttempt(world, contents, source, target)


class AbandonedAttempt(Attempt):
    """One such upload."""

    def __init__(self, world: World, contents: Files, source: Place, target: RemotePlace) -> None:
        self._world = world
        self._contents = contents
        self._source = source
        self._target = target

    async def run(self) -> Any:
        proxy = self._world.proxy
        proxy.refused = lambda request: request.moves_object and request.size == _LAST
        try:
            await self._world.session.move(f"{self._source.location}/", f"{self._target.location}/")
        except TransferError as error:
            return error.report.job_id
        finally:
            proxy.refused = lambda _: False

    async def complaints(self, result: Any, error: BaseException | None) -> list[str]:
        found = []
        if error is not None or result is None:
            found.append("it did not fail as it should")
        else:
            await self._world.session.clean_jobs(result, dry_run=False)
        if await self._target.files():
            found.append("there is something at the destination")
        if await self._source.files() != self._contents:
            found.append("the source is not what it was")
        if left := await self._world.new_leftovers():
            found.append(f"parts are left though the job was cleaned: {left}")
        return found


async def _read(world: World, path: str) -> bytes:
    return b"".join([chunk async for chunk in world.storage.read(f"{path}/a.bin")])


async def _read_large(world: World, path: str) -> bool:
    read = b"".join([chunk async for chunk in world.storage.read(f"{path}/large.bin")])
    return read == world.large(_SIZES[world.site.name])


async def _scan(world: World, path: str) -> list[tuple[str, int]]:
    items = [item async for item in world.storage.scan(path=f"{path}/")]
    return sorted((item.path[len(path) + 1 :], item.size) for item in items if not item.directory)


async def _list(world: World, path: str) -> list[str]:
    return sorted(item.name for item in await world.storage.list(path=f"{path}/"))


async def _stat(world: World, path: str) -> int:
    return int((await world.storage.stat(f"{path}/a.bin")).size)


async def _exists(world: World, path: str) -> tuple[bool, bool]:
    return await world.storage.exists(f"{path}/a.bin"), await world.storage.exists(f"{path}/none.bin")


async def _scan_anew(world: World, path: str) -> list[tuple[str, int]]:
    """Asks the unit what it can do before."""
    world.session._volumes._providers.clear()
    return await _scan(world, path)


_SIZED = sorted((name, len(data)) for name, data in SMALL.items())

DAILY_LARGE = ("move large down", "move large up", "move large up at once", "resume move up", "abandoned upload")
"""Those that make each request that only large files need."""

OPERATIONS: tuple[Operation, ...] = (
    Transfer("move down", "move", "remote", "local"),
    Transfer("move one down", "move", "remote", "local", one=True),
    Transfer("move up", "move", "local", "remote"),
    Transfer("move one up", "move", "local", "remote", one=True),
    Transfer("move within", "move", "remote", "remote"),
    Transfer("move one within", "move", "remote", "remote", one=True),
    Transfer("move to another", "move", "remote", "other"),
    Transfer("move from another", "move", "other", "remote"),
    Transfer("sync down", "sync", "remote", "local"),
    Transfer("sync up", "sync", "local", "remote"),
    Transfer("sync within", "sync", "remote", "remote"),
    Transfer("sync to another", "sync", "remote", "other"),
    Transfer("sync from another", "sync", "other", "remote"),
    Transfer("download", "copy", "remote", "local"),
    Transfer("download one", "copy", "remote", "local", one=True),
    Transfer("upload", "copy", "local", "remote"),
    Transfer("upload one", "copy", "local", "remote", one=True),
    Transfer("copy within", "copy", "remote", "remote"),
    Looking("read", _read, SMALL["a.bin"]),
    Looking("scan", _scan, _SIZED),
    Looking("scan at first", _scan_anew, _SIZED, only=("UNIT",), verbs=("options",)),
    Looking("list", _list, ["a.bin", "b.bin", "c"]),
    Looking("stat", _stat, 10_000),
    Looking("exists", _exists, (True, False)),
    Deletion("delete one", ("a.bin",)),
    Deletion("delete many", ("a.bin", "c/d e.bin")),
    Deletion("delete directory", None),
    Writing("write"),
)

LARGE: tuple[Operation, ...] = (
    Transfer("move large down", "move", "remote", "local", large=True),
    Transfer("move large up", "move", "local", "remote", large=True),
    Transfer("move large up at once", "move", "local", "remote", large=True, part_size=5 * MiB, only=("GCP",)),
    Transfer("move large within", "move", "remote", "remote", large=True),
    Transfer("move large to another", "move", "remote", "other", large=True),
    Transfer("move large from another", "move", "other", "remote", large=True),
    Transfer("sync large down", "sync", "remote", "local", large=True),
    Transfer("sync large up", "sync", "local", "remote", large=True),
    Looking("read large", _read_large, True, large=True),
    Writing("write large", large=True),
    Abandoned("abandoned upload", large=True, only=("AWS", "UNIT"), verbs=("abort", "forget")),
    Transfer("resume download", "copy", "remote", "local", large=True, resumes=True),
    Transfer("resume upload", "copy", "local", "remote", large=True, resumes=True),
    Transfer("resume move up", "move", "local", "remote", large=True, resumes=True),
)
