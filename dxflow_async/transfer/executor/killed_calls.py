"""The calls whose coordinator was killed: what their workers may have left, and their channels. Blocks.

A coordinator writes the owners of its workers' temporary files into the job's file, but may be killed before. What its
workers told it is still in its channel, which stays until the job is finished or cleaned up. Where there is no job, the
next call removes it.
"""

from __future__ import annotations

import fcntl
import glob
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from dxflow_async.concurrency.file_locks import is_free
from dxflow_async.transfer.executor.channel import CALL, CHANNEL, Beat, is_abandoned, is_held, read_call
from dxflow_async.transfer.executor.silence import WatchedTime, is_stopped

__all__ = ["remove_channels_of", "remove_dead_channels", "workers_left_by"]

_LOOK_SECONDS = 0.1
_MOST_SECONDS = 15.0

_KEPT_SECONDS = 24 * 3600.0
"""A channel that may still tell something stays for so long after a shard has begun or ended."""

_MOST_NAMES, _MOST_CHANNELS = 20_000, 100
"""The names in the directory for temporary files, and the channels among them, that a call looks at."""


def workers_left_by(owner_ids: Iterable[str]) -> set[str]:
    """Returns the owners of the temporary files of workers whose coordinators were killed.

    Workers that are still at a shard see that their coordinator is gone, remove their files, and let go of the lock of
    the shard's file. They are waited for, unless they are stopped; at most for fifteen seconds.

    Args:
        owner_ids: the owners of the temporary files of the coordinators.
    """
    paths = [path for path in _channels_of(owner_ids) if _was_ours(path)]
    watched = WatchedTime()
    while any(map(_is_awaited, _shards_in(paths))) and watched.look() < _MOST_SECONDS:
        time.sleep(_LOOK_SECONDS)
    return {owner for beat in _beats(_shards_in(paths)) for owner in beat.owners}


def remove_channels_of(owner_ids: Iterable[str]) -> None:
    """Removes the channels of killed coordinators whose jobs are finished.

    Args:
        owner_ids: the owners of the temporary files of the coordinators.
    """
    for path in _channels_of(owner_ids):
        _remove_dead(path, finished=True)


def remove_dead_channels() -> None:
    """Removes the channels of killed coordinators that nobody needs any more."""
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as found:
        names = (each.name for each in islice(found, _MOST_NAMES) if each.name.startswith(CHANNEL))
        for name in islice(names, _MOST_CHANNELS):
            _remove_dead(os.path.join(tempfile.gettempdir(), name), finished=False)


def _channels_of(owner_ids: Iterable[str]) -> list[str]:
    start = os.path.join(glob.escape(tempfile.gettempdir()), CHANNEL)
    return [path for each in owner_ids for path in glob.glob(f"{start}{glob.escape(each)}-*")]


def _was_ours(channel: str) -> bool:
    """Returns whether a channel is that of a killed coordinator of this user's."""
    try:
        return os.stat(channel).st_uid == os.geteuid() and is_abandoned(channel)
    except OSError:
        return False


def _shards_in(channels: Iterable[str]) -> Iterator[str]:
    """Yields the files that workers have for shards."""
    return (path for channel in channels for path in glob.glob(os.path.join(glob.escape(channel), "[0-9]*")))


def _is_awaited(shard: str) -> bool:
    """Returns whether a worker is at a shard, and not known to be stopped."""
    if not is_held(shard):
        return False
    beat = Beat.read(shard)
    return beat is None or not is_stopped(beat.pid)


def _remove_dead(channel: str, *, finished: bool) -> None:
    """Removes a channel of this user's if its coordinator and its workers are gone for certain.

    Another process may do so at the same time. What has the channel's name is opened once, and no link is followed.

    Args:
        channel: the directory.
        finished: what it tells is not needed any more.
    """
    with suppress(OSError):
        directory = os.open(channel, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(directory)
            ours = status.st_uid == os.geteuid()
            if ours and _is_dead(channel, directory, status.st_mtime, finished=finished):
                for name in os.listdir(directory):
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=directory)
                os.rmdir(channel)
        finally:
            os.close(directory)


def _is_dead(channel: str, directory: int, changed: float, *, finished: bool) -> bool:
    """Returns whether a channel is not needed any more.

    Args:
        channel, directory: the directory, and its descriptor.
        changed: when a shard began or ended.
        finished: as for `_remove_dead`.

    Raises:
        OSError: it cannot be looked at.
    """
    old = time.time() - changed > _KEPT_SECONDS
    try:
        free, told = is_free(CALL, fcntl.LOCK_EX, directory=directory), read_call(channel)
    except FileNotFoundError:
        return old  # its coordinator has not locked the file yet, or somebody has begun to remove the channel
    if not free or (told is None and not old) or (told is not None and not told.is_here):
        return False
    shards = list(_shards_in([channel]))
    settled = finished or not any(each.owners for each in _beats(shards))
    # Workers of a cluster may look for the channel once their turn comes, to learn that the call has ended.
    return (old or (told is not None and told.same_machine and settled)) and not any(map(is_held, shards))


def _beats(shards: Iterable[str]) -> list[Beat]:
    return [beat for beat in map(Beat.read, shards) if beat is not None]
