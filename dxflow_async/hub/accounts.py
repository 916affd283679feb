"""Accounts of a hub: who may sign in, and with which secrets.

Kept in SQLite, which several processes may have open at once. Passwords are hashed with argon2id; of a secret only
its SHA-256 is kept, which is enough for 256 random bits. All of it runs in threads of its own, never on the loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from dxflow_async.exceptions import AuthenticationError
from dxflow_async.hub.credentials import Credentials
from dxflow_async.hub.database import open_database

__all__ = ["Accounts", "SignIn", "TooManyTriesError", "User"]

T = TypeVar("T")

MAX_FAILURES = 5
"""Wrong passwords of one account and peer, within `FAILURE_WINDOW`."""
FAILURE_WINDOW = 60.0
"""Seconds that a failed try counts."""
MAX_SIGN_INS = 100
"""Of one account; the oldest are revoked."""
# OWASP's first choice for argon2id; 19 MiB keep a sign-in within a small process's memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class TooManyTriesError(AuthenticationError):
    """Too many wrong passwords of late; `retry_after` is the seconds to wait."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many failed tries; wait {retry_after:.0f} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class User:
    """Who an account belongs to."""

    pointer: str
    email: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that worked. The secrets are told here and never again."""

    user_pointer: str
    user_secret: str = field(repr=False)
    namespace_pointer: str
    namespace_secret: str = field(repr=False)
    created: bool


class Accounts:
    """The accounts in one database; made by `open`.

    Example:
        accounts = await Accounts.open(settings.home)
        signed_in = await accounts.sign_in(Credentials("me@example.org", "...", "diphyx"), "127.0.0.1")
        await accounts.aclose()
    """

    def __init__(self, database: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="dxflow-hub")

    @classmethod
    async def open(cls, home: Path, *, clock: Callable[[], float] = time.time) -> Self:
        """Open the database in `home`; both are created, for their owner only, when missing.

        Raises:
            ConfigurationError: it cannot be used, or a newer version of this program wrote it.
        """
        return cls(await asyncio.to_thread(open_database, home), clock)

    async def aclose(self) -> None:
        """Wait for what is running, then close the database."""
        await asyncio.to_thread(self._close)

    async def sign_in(self, given: Credentials, peer: str) -> SignIn:
        """Sign in, creating the account or its namespace when it is the first time.

        Args:
            given: e-mail, password and namespace.
            peer: the address it comes from; failures are counted for each account and peer.

        Raises:
            AuthenticationError: wrong password.
            TooManyTriesError: after five wrong ones within a minute, whatever the password.
        """
        return await self._run(self._sign_in, given, peer)

    async def user(self, pointer: str, secret: str) -> User | None:
        """The user of that pointer, if the secret is a valid one of theirs."""
        return await self._run(self._user, pointer, secret)

    async def revoke(self, pointer: str, secret: str) -> bool:
        """End the sign-in that a user secret came from; False when it is not valid (any more)."""
        return await self._run(self._revoke, pointer, secret)

    async def _run(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    def _close(self) -> None:
        self._threads.shutdown()
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database

    def _sign_in(self, given: Credentials, peer: str) -> SignIn:
        with self._lock:
            found = self._database.execute(
                "SELECT pointer, password FROM accounts WHERE email = ?", (given.email.lower(),)
            ).fetchone()
            if found is not None:
                self._refuse_after_failures(found[0], peer)
        if found is None:
            return self._create(given) or self._sign_in(given, peer)
        account, hashed = found
        right = _matches(hashed, given.password)
        with self._transaction() as database:
            # Once more: tries that were checked beside this one count too, or many at once would pass.
            self._refuse_after_failures(account, peer)
            if right:
                return self._issue(account, given.namespace, created=False)
            now = self._clock()
            database.execute("DELETE FROM failures WHERE abs(at - ?) >= ?", (now, FAILURE_WINDOW))
            database.execute("INSERT INTO failures VALUES (?, ?, ?)", (account, peer, now))
        raise AuthenticationError("wrong e-mail or password")

    def _refuse_after_failures(self, account: str, peer: str) -> None:
        now = self._clock()
        failures = self._database.execute(
            "SELECT at FROM failures WHERE account = ? AND peer = ? AND abs(at - ?) < ? ORDER BY at DESC LIMIT ?",
            (account, peer, now, FAILURE_WINDOW, MAX_FAILURES),
        ).fetchall()
        if len(failures) == MAX_FAILURES:
            raise TooManyTriesError(min(failures[-1][0] + FAILURE_WINDOW - now, FAILURE_WINDOW))

    def _create(self, given: Credentials) -> SignIn | None:
        """Create an account; None when somebody else created it meanwhile."""
        hashed = _HASHER.hash(given.password)
        account = secrets.token_hex(16)
        with self._transaction() as database:
            created = database.execute(
                "INSERT OR IGNORE INTO accounts VALUES (?, ?, ?, ?)",
                (account, given.email.lower(), hashed, self._clock()),
            ).rowcount
            return self._issue(account, given.namespace, created=True) if created else None

    def _issue(self, account: str, name: str, *, created: bool) -> SignIn:
        """New secrets, within a transaction."""
        execute = self._database.execute
        execute("INSERT OR IGNORE INTO namespaces VALUES (?, ?, ?)", (secrets.token_hex(16), account, name))
        (namespace,) = execute(
            "SELECT pointer FROM namespaces WHERE account = ? AND name = ?", (account, name)
        ).fetchone()
        issued = SignIn(account, secrets.token_urlsafe(32), namespace, secrets.token_urlsafe(32), created)
        execute(
            "INSERT INTO sign_ins (account, namespace, user_digest, namespace_digest, created) VALUES (?, ?, ?, ?, ?)",
            (account, namespace, _digest(issued.user_secret), _digest(issued.namespace_secret), self._clock()),
        )
        execute(
            "DELETE FROM sign_ins WHERE account = :account AND id NOT IN"
            " (SELECT id FROM sign_ins WHERE account = :account ORDER BY id DESC LIMIT :most)",
            {"account": account, "most": MAX_SIGN_INS},
        )
        return issued

    def _sign_in_of(self, pointer: str, secret: str) -> int | None:
        digest = _digest(secret)
        rows = self._database.execute("SELECT id, user_digest FROM sign_ins WHERE account = ?", (pointer,)).fetchall()
        matching = [number for number, stored in rows if hmac.compare_digest(stored, digest)]
        return matching[0] if matching else None

    def _user(self, pointer: str, secret: str) -> User | None:
        with self._lock:
            if self._sign_in_of(pointer, secret) is None:
                return None
            (email,) = self._database.execute("SELECT email FROM accounts WHERE pointer = ?", (pointer,)).fetchone()
            return User(pointer, email)

    def _revoke(self, pointer: str, secret: str) -> bool:
        with self._transaction() as database:
            number = self._sign_in_of(pointer, secret)
            return database.execute("DELETE FROM sign_ins WHERE id = ?", (number,)).rowcount > 0


def _matches(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except VerifyMismatchError:
        return False


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
