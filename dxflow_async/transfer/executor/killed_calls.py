"""The workers of calls whose coordinator was killed, which may have left temporary files. Blocks.

A coordinator writes the owners of these files into the job's file, but may be killed before. What its workers told it
is still in its channel.
"""

from __future__ import annotations

import glob
import os
import tempfile
import time
from collections.abc import Iterable

from dxflow_async.transfer.executor.channel import CHANNEL, Beat, is_abandoned
from dxflow_async.transfer.executor.silence import is_alive

__all__ = ["workers_left_by"]

_LOOK_SECONDS = 0.1
_SILENT_SECONDS = 2.0
_MOST_SECONDS = 15.0


def workers_left_by(owner_ids: Iterable[str]) -> set[str]:
    """Returns the owners of the temporary files of workers whose coordinators were killed.

    Workers that are still at a shard see that their coordinator is gone, and remove their files. They are waited for,
    until they are not heard of for two seconds, at most for fifteen.

    Args:
        owner_ids: the owners of the temporary files of the coordinators.
    """
    start = os.path.join(glob.escape(tempfile.gettempdir()), CHANNEL)
    paths = [path for each in owner_ids for path in glob.glob(f"{start}{glob.escape(each)}-*") if _was_ours(path)]
    beats = _read(paths)
    changed = began = time.monotonic()
    while any(is_alive(beat.pid) for beat in beats.values()):
        now = time.monotonic()
        if now - changed > _SILENT_SECONDS or now - began > _MOST_SECONDS:
            break
        time.sleep(_LOOK_SECONDS)
        before, beats = beats, _read(paths)
        if beats != before:
            changed = now
    return {owner for beat in beats.values() for owner in (beat.owner_id, *beat.earlier)}


def _was_ours(channel: str) -> bool:
    """Returns whether a channel is that of a killed coordinator of this user's."""
    try:
        return os.stat(channel).st_uid == os.geteuid() and is_abandoned(channel)
    except OSError:
        return False


def _read(channels: Iterable[str]) -> dict[str, Beat]:
    """Returns what workers have told of each shard."""
    found = {path: Beat.read(path) for channel in channels for path in glob.glob(os.path.join(channel, "[0-9]*"))}
    return {path: beat for path, beat in found.items() if beat is not None}
