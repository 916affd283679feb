"""A directory through which the coordinator of a call and the workers of its machine see each other. Blocks.

The coordinator holds the lock of the file `call`. A worker keeps a file for each shard it works on, with its process,
the owner of its temporary files, a counter that it raises while it is alive, and the bytes that it has moved. A worker
ends a shard when the directory or the lock is gone, which is so as well after the coordinator was killed.

A worker holds the lock of its file from before it tells anything until it has ended the shard, which it tells last.
So a file that nobody holds, and that does not tell of the end, is that of a worker that was killed. The system lets go
of the lock once no thread of the process is left, which could still make a file.

A worker that sees the directory, and runs on the machine that the file `call` names, works on the coordinator's
machine: local paths mean the same to both. A directory for temporary files that several machines share is not enough.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from typing import NamedTuple, Self

from dxflow_async.concurrency.file_locks import close_in_children, hold_shared, is_free, release
from dxflow_async.exceptions import DxflowError

__all__ = [
    "CALL",
    "CHANNEL",
    "Beat",
    "Channel",
    "ShardCancelledError",
    "WorkerChannel",
    "is_abandoned",
    "is_held",
    "read_call",
]

CHANNEL = "dxflow-call-"
"""How the names of channels begin. The owner of the coordinator's temporary files follows."""

CALL = "call"
"""The name of the file that the coordinator holds the lock of."""

_CANCELLED, _SHARERS = "cancelled", "sharers"
_ENDED = -1
_SAME_MACHINE = "same machine"


class ShardCancelledError(DxflowError):
    """The call of a shard was cancelled, or its coordinator is gone."""


@cache
def machine_id() -> str:
    """Returns what identifies this machine until it is started again."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return f"{platform.node()} {uuid.getnode()}"


class CallFile(NamedTuple):
    """What the coordinator tells of its call.

    Attributes:
        machine: the coordinator's, as `machine_id` returns it.
        same_machine: all workers are on it.
    """

    machine: str
    same_machine: bool

    @property
    def is_here(self) -> bool:
        """Whether the coordinator runs, or ran, on this machine, which was not started again since."""
        return self.machine == machine_id()

    def to_text(self) -> str:
        return f"{self.machine}\n{_SAME_MACHINE if self.same_machine else ''}\n"


def read_call(channel: str) -> CallFile | None:
    """Returns what the coordinator tells; None where it tells nothing yet, or there is no such channel.

    Args:
        channel: the coordinator's directory.
    """
    with suppress(OSError, ValueError), open(os.path.join(channel, CALL), encoding="utf-8") as file:
        machine, kind, _ = file.read().split("\n")
        return CallFile(machine, kind == _SAME_MACHINE)
    return None


class Beat(NamedTuple):
    """What a worker tells of a shard.

    Attributes:
        pid: the worker's process.
        owner_id: the owner of its temporary files.
        beats: raised while the worker is alive; `_ENDED` once it has ended the shard and removed its temporary files.
        bytes: moved so far.
        earlier: the owners of the temporary files of workers that had begun the shard before, and were lost.
    """

    pid: int
    owner_id: str
    beats: int
    bytes: int
    earlier: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the worker has ended the shard by itself, and left no temporary file."""
        return self.beats == _ENDED

    @property
    def owners(self) -> tuple[str, ...]:
        """The owners of temporary files that may be left, if the worker is gone."""
        return self.earlier if self.ended else (*self.earlier, self.owner_id)

    @classmethod
    def read(cls, path: str) -> Self | None:
        """Returns what a file tells; None if there is none, or nothing in it yet."""
        with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            pid, owner_id, count, size, *earlier = file.readline().split()  # the rest is that of a longer line before
            return cls(int(pid), owner_id, int(count), int(size), tuple(earlier))
        return None


class Channel:
    """The coordinator's side.

    Attributes:
        path: the directory.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, owner_id: str, *, same_machine: bool) -> Self:
        """Creates the directory, which only this user can read.

        Args:
            owner_id: the owner of the coordinator's temporary files.
            same_machine: all workers are on this machine.
        """
        path = tempfile.mkdtemp(prefix=f"{CHANNEL}{owner_id}-")
        try:
            descriptor = os.open(os.path.join(path, CALL), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            close_in_children(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, CallFile(machine_id(), same_machine).to_text().encode())
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return cls(path, descriptor)

    def cancel(self) -> None:
        """Has all workers end their shards."""
        with suppress(FileExistsError, FileNotFoundError):
            os.close(os.open(os.path.join(self.path, _CANCELLED), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def divide(self, count: int) -> None:
        """Has the workers divide the limits of the call by so many."""
        with suppress(OSError):  # the directory may be gone, or the disk full: the shares stay as they are
            path = os.path.join(self.path, _SHARERS)
            with open(f"{path}.new", "w", encoding="ascii") as file:
                file.write(str(count))
            os.replace(f"{path}.new", path)

    def read(self, numbers: Iterable[int]) -> dict[int, Beat]:
        """Returns what workers tell of these shards; shards that no worker of this machine has begun are left out."""
        beats = {number: Beat.read(os.path.join(self.path, str(number))) for number in numbers}
        return {number: beat for number, beat in beats.items() if beat is not None}

    def is_held(self, number: int) -> bool:
        """Returns whether the worker of a shard that was begun may still be alive, and at it."""
        return is_held(os.path.join(self.path, str(number)))

    def forget(self, number: int) -> None:
        """Removes what is told of a shard that has ended."""
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.path, str(number)))

    def close(self, *, abandoned: bool) -> None:
        """Ends the channel.

        Args:
            abandoned: workers may still look for it. Then the directory stays, so that they learn that the call ended.
        """
        if abandoned:
            self.cancel()
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        release(self._descriptor)


class WorkerChannel:
    """A worker's side of one shard.

    Args:
        path: the coordinator's directory.
        number: the shard.
        owner_id: the owner of the worker's temporary files.
        dropped: returns whether the call was cancelled, as far as the executor tells.

    Attributes:
        visible: the worker is on the coordinator's machine.
        begun: another worker of this machine has begun the shard before, and was lost.
        earlier: the owners of the temporary files that such workers may have left.
    """

    def __init__(self, path: str, number: int, owner_id: str, dropped: Callable[[], bool] = lambda: False) -> None:
        call = read_call(path)
        self.visible = call is not None and call.is_here
        self.begun = self.visible and os.path.exists(os.path.join(path, str(number)))
        before = Beat.read(os.path.join(path, str(number))) if self.begun else None
        self.earlier = () if before is None else _owners_before(before, owner_id)
        self._dropped = dropped
        self._path = path
        self._number = number
        self._owner_id = owner_id
        self._count = self._moved = 0
        self._descriptor = -1

    def beat(self, moved: int) -> None:
        """Tells that the worker is alive.

        Args:
            moved: the bytes that it has moved.
        """
        if not self.visible:
            return
        if self._descriptor < 0:
            with suppress(OSError):
                path = os.path.join(self._path, str(self._number))
                self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                hold_shared(self._descriptor)
        self._count += 1
        self._moved = max(moved, 0)
        self._tell(self._count)

    def ended(self) -> bool:
        """Returns whether the call was cancelled, or its coordinator is gone."""
        if self._dropped():
            return True
        return self.visible and (os.path.exists(os.path.join(self._path, _CANCELLED)) or is_abandoned(self._path))

    def sharers(self) -> int | None:
        """Returns by how many the limits of the call are divided; None where that is not told."""
        if self.visible:
            with suppress(OSError, ValueError), open(os.path.join(self._path, _SHARERS), encoding="ascii") as file:
                return max(int(file.read()), 1)
        return None

    def close(self) -> None:
        """Tells that the worker has ended the shard, and has no temporary file of it any more."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._tell(_ENDED)
            os.close(self._descriptor)
            self._descriptor = -1

    def _tell(self, beats: int) -> None:
        if self._descriptor >= 0:
            text = f"{os.getpid()} {self._owner_id} {beats:12} {self._moved:20} {' '.join(self.earlier)}\n"
            os.pwrite(self._descriptor, text.encode(), 0)


def _owners_before(before: Beat, owner_id: str) -> tuple[str, ...]:
    """Returns the owners that may have left temporary files, without the one that begins the shard now."""
    return tuple(owner for owner in dict.fromkeys(before.owners) if owner != owner_id)


def is_abandoned(path: str) -> bool:
    """Returns whether nobody holds the lock of a call.

    Args:
        path: the coordinator's directory.
    """
    try:
        return is_free(os.path.join(path, CALL), fcntl.LOCK_SH)
    except OSError:
        return True


def is_held(shard: str) -> bool:
    """Returns whether the worker of a shard may still be alive, and at it.

    Args:
        shard: the worker's file.
    """
    try:
        return not is_free(shard, fcntl.LOCK_EX)
    except FileNotFoundError:
        return False
    except OSError:
        return True
