"""Remembers between which buckets a service refuses to copy, though their objects can be read: copies go through us.

A service reads the source of a copy itself. Firewalls, private endpoints and policies may keep it from that, and some
servers do not copy at all. The refusal looks like a missing right, so the source is looked up before it is believed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TypeVar

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import CopyRefusedError, Entry, Provider
from dxflow_async.providers.http import Call
from dxflow_async.security.redaction import printable

__all__ = ["CopyRefusals"]

_log = logging.getLogger("dxflow_async.providers")

T = TypeVar("T")

_BELIEF = 3600.0
"""Seconds for which a refusal is believed: firewalls and rights change."""

_MAX_PAIRS = 1000


class CopyRefusals:
    """The pairs of buckets between which copies are refused."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[str, float]] = {}

    async def attempt(
        self,
        provider: Provider,
        call: Call,
        ends: tuple[Entry, str],
        copy: Callable[[], Awaitable[T]],
        refuses: Callable[[StorageError], bool],
    ) -> T:
        """Returns the result of `copy()`, unless a copy between the same buckets was refused before.

        Args:
            provider, call: look up the source of a refused copy.
            ends: the source, and the key of the copy.
            copy: requests the copy.
            refuses: returns whether an error may be a refusal to copy at all.

        Raises:
            CopyRefusedError: the copy is refused, and the source can be read.
            StorageError: another error of the copy, or of looking up the source.
        """
        source, key = ends
        pair = source.key.partition("/")[0], key.partition("/")[0]
        if pair in self._known and monotonic() < self._known[pair][1]:
            raise _refused(call, self._known[pair][0])
        try:
            return await copy()
        except StorageError as error:
            if not refuses(error):
                raise
            await provider.stat(source.key)
            reason = " ".join(filter(None, [str(error.status or ""), error.code]))
            self._learn(pair, reason, error)
            raise _refused(call, reason) from error

    def _learn(self, pair: tuple[str, str], reason: str, error: StorageError) -> None:
        if len(self._known) >= _MAX_PAIRS:
            self._known.clear()
        if pair not in self._known:
            _log.warning("%s; objects are copied through this machine", printable(str(error)))
        self._known[pair] = reason, monotonic() + _BELIEF

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """What is known, as pairs of a subject and its value."""
        return [
            (f"copies from {source} to {target}", f"refused ({printable(reason)}): made through this machine")
            for (source, target), (reason, _) in self._known.items()
        ]


def _refused(call: Call, reason: str) -> StorageError:
    return call.error(CopyRefusedError, f"the service refuses to copy ({reason}), copy through this machine")
