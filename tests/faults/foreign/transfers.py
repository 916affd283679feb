"""Transfers that are tried, and what must be true after each, whatever came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dxflow_async.exceptions import TransferError
from tests.faults.foreign.attempts import LAST, OLD, Attempt, Operation
from tests.faults.foreign.places import Files, Place, RemotePlace
from tests.faults.foreign.proxy import REFUSAL, Rule
from tests.faults.proxy import Request
from tests.sessions import MiB

if TYPE_CHECKING:
    from tests.faults.foreign.world import World

__all__ = ["Abandoned", "AreaId", "Transfer"]

AreaId = Literal["local", "remote", "other"]
"""This machine, the service with foreign answers, or another service without any."""


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
    source: AreaId
    target: AreaId
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
        elif self.call == "sync" and not self.large:
            old = {**old, "a.bin": old["a.bin"][:-1]}  # of the same size, it would be the newer one
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
        """Makes the call fail when a part of the file was moved, and what it has sent stay."""

        def is_refused(_: str, request: Request) -> bool:
            return request.moves_object or (request.method == "DELETE" and self._world.site.name == "AWS")

        async with self._world.proxy.giving(Rule(is_refused, REFUSAL, first=2)):
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


@dataclass(frozen=True, eq=False)
class Abandoned(Operation):
    """An upload in parts that the service does not take to its end: what it has of it is removed."""

    async def prepare(self, world: World) -> Attempt:
        source, target = world.place("local"), world.remote()
        contents = self.contents(world)
        await source.put(contents)
        await world.new_leftovers()  # what others have left is not ours
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
        proxy.refused = lambda request: request.moves_object and request.size == LAST
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
