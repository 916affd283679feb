"""Limits on attempts to sign in: failures that count against a peer and an account, and turns at hashing passwords.

Failures count for an account and a peer together, so a stranger's failures do not lock out others behind the same
address. All failures of an account count for peers that it never signed in from, so that many addresses together cannot
try out one account's passwords. An e-mail without an account is treated in the same way.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from dxflow_async.exceptions import AuthenticationError

__all__ = ["Failures", "QueueFullError", "TooManyTriesError", "Turns"]

MAX_FAILURES = 5
"""Failures of one account and peer within `FAILURE_WINDOW`."""
FAILURE_WINDOW = 60.0
"""Seconds."""
MAX_ACCOUNT_FAILURES = 100
"""Failures of one account within `ACCOUNT_WINDOW`, for peers that it never signed in from."""
MAX_OF_ONE_PEER = 20
"""At most this many of them count for one peer, so that no single peer locks an account."""
ACCOUNT_WINDOW = 3600.0
"""Seconds that a failure is kept."""
MAX_UNKNOWN = 10_000
"""Failures that are kept for e-mails without an account. The oldest are removed."""
MAX_EXPIRED = 100
"""Expired failures that one failure removes, of the past and of the future each. Later failures remove the rest."""
MAX_KNOWN_PEERS = 20
"""Known peers of one account. Those not seen for longest are removed."""


class TooManyTriesError(AuthenticationError):
    """There were too many wrong passwords. `retry_after` is the number of seconds to wait."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many failed attempts; wait {retry_after:.0f} s")
        self.retry_after = retry_after


class Failures:
    """The failures in a hub's database. Each method runs within a transaction of its caller.

    Args:
        clock: returns seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def check(self, database: sqlite3.Connection, account: str, peer: str) -> None:
        """Refuses another attempt after too many failures.

        Args:
            database: the hub's database.
            account: the account's pointer, or an e-mail without an account.
            peer: the address of the client.

        Raises:
            TooManyTriesError: there were too many failures.
        """
        now = self._clock()
        own = database.execute(
            "SELECT at FROM failures WHERE account = ? AND peer = ? AND at > ? AND at < ? ORDER BY at DESC LIMIT ?",
            (account, peer, now - FAILURE_WINDOW, now + FAILURE_WINDOW, MAX_FAILURES),
        ).fetchall()
        if len(own) >= MAX_FAILURES:
            raise TooManyTriesError(min(own[-1][0] + FAILURE_WINDOW - now, FAILURE_WINDOW))
        known = database.execute("SELECT 1 FROM known_peers WHERE account = ? AND peer = ?", (account, peer)).fetchone()
        counted = database.execute(
            "SELECT count(*), min(at) FROM failures WHERE account = ? AND at > ? AND at < ? GROUP BY peer",
            (account, now - ACCOUNT_WINDOW, now + ACCOUNT_WINDOW),
        ).fetchall()
        if known is None and sum(min(count, MAX_OF_ONE_PEER) for count, _ in counted) >= MAX_ACCOUNT_FAILURES:
            oldest = min(at for _, at in counted)
            raise TooManyTriesError(min(max(oldest + ACCOUNT_WINDOW - now, 1.0), ACCOUNT_WINDOW))

    def note(self, database: sqlite3.Connection, account: str, peer: str) -> None:
        """Counts a failure. Takes a bounded number of steps, however many failures are kept."""
        now = self._clock()
        database.execute(
            "DELETE FROM failures WHERE rowid IN (SELECT rowid FROM failures WHERE at <= ? LIMIT ?)",
            (now - ACCOUNT_WINDOW, MAX_EXPIRED),
        )
        database.execute(
            "DELETE FROM failures WHERE rowid IN (SELECT rowid FROM failures WHERE at >= ? LIMIT ?)",
            (now + ACCOUNT_WINDOW, MAX_EXPIRED),
        )
        order = None
        if "@" in account:  # pointers contain no @, so an account's own failures are never pushed out
            (newest,) = database.execute(
                "SELECT max(unknown_order) FROM failures WHERE unknown_order IS NOT NULL"
            ).fetchone()
            order = (newest or 0) + 1
        database.execute("INSERT INTO failures VALUES (?, ?, ?, ?)", (account, peer, now, order))
        if order is not None:
            database.execute("DELETE FROM failures WHERE unknown_order <= ?", (order - MAX_UNKNOWN,))
        # No more of one peer count. The order of insertion holds when the clock is set back.
        database.execute(
            "DELETE FROM failures WHERE rowid IN (SELECT rowid FROM failures WHERE account = ? AND peer = ?"
            " ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
            (account, peer, max(MAX_OF_ONE_PEER, MAX_FAILURES)),
        )

    def know(self, database: sqlite3.Connection, account: str, peer: str) -> None:
        """Remembers a peer that has signed in to an account."""
        database.execute("INSERT OR REPLACE INTO known_peers VALUES (?, ?, ?)", (account, peer, self._clock()))
        database.execute(
            "DELETE FROM known_peers WHERE account = :account AND rowid NOT IN"
            " (SELECT rowid FROM known_peers WHERE account = :account ORDER BY at DESC, rowid DESC LIMIT :most)",
            {"account": account, "most": MAX_KNOWN_PEERS},
        )


class QueueFullError(Exception):
    """A peer has too many requests waiting."""


class Turns:
    """Lets each peer work on one request at a time, and all peers together on a few.

    A peer that asks for much processor time waits for itself, and others do not wait for it.

    Args:
        most_at_once: requests of all peers together.
        most_waiting: requests of one peer.
    """

    def __init__(self, most_at_once: int = 2, most_waiting: int = 256) -> None:
        self._at_once = asyncio.Semaphore(most_at_once)
        self._most_waiting = most_waiting
        # Holds only peers that have a request here.
        self._peers: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def turn(self, peer: str) -> AsyncIterator[None]:
        """Waits for the peer's turn.

        Raises:
            QueueFullError: too many of its requests are waiting already.
        """
        lock, waiting = self._peers.setdefault(peer, (asyncio.Lock(), []))
        if len(waiting) >= self._most_waiting:
            raise QueueFullError
        waiting.append(None)
        try:
            async with lock, self._at_once:
                yield
        finally:
            waiting.pop()
            if not waiting:
                del self._peers[peer]
