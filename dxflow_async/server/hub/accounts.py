"""The accounts of a hub: who may sign in, and with which secrets.

Accounts are kept in SQLite, which several processes may open at once. Passwords are hashed with argon2id. All of it
runs in the store's threads, never on the loop.
"""

from __future__ import annotations

import functools
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from dxflow_async.exceptions import AuthenticationError, ConfigurationError
from dxflow_async.server.hub.attempts import Failures, QueueFullError, TooManyTriesError, Turns
from dxflow_async.server.hub.database import Store
from dxflow_async.server.hub.sign_ins import SignIn, SignInLimits, SignIns

__all__ = ["Account", "Accounts", "Credentials", "Namespace", "SignIn", "TooManyTriesError", "User"]

_LIMITS = SignInLimits()

# OWASP's first choice for argon2id. 19 MiB keep a sign-in within the memory of a small process.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@dataclass(frozen=True, slots=True)
class User:
    """The owner of an account."""

    pointer: str
    email: str


@dataclass(frozen=True, slots=True)
class Account:
    """An account as an administrator sees it. `created` is in seconds since the epoch."""

    email: str
    disabled: bool
    created: float


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace of an account."""

    pointer: str
    name: str


class Accounts:
    """The accounts of a hub.

    Args:
        store: the hub's database.
        clock: returns seconds since the epoch.
        sign_up: the first sign-in with an e-mail creates its account.
        limits: how long the secrets of a sign-in are valid.

    Example:
        accounts = Accounts(store)
        signed_in = await accounts.sign_in(Credentials("me@example.org", "...", "diphyx"), "127.0.0.1")
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        sign_up: bool = True,
        limits: SignInLimits = _LIMITS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._sign_up = sign_up
        self._failures = Failures(clock)
        self._sign_ins = SignIns(clock, limits)
        # Passwords of one peer are hashed one after another, so more requests give it no more of the processor.
        self._turns = Turns()

    # Signing in

    async def sign_in(self, given: Credentials, peer: str) -> SignIn:
        """Signs in. The first sign-in creates the namespace and, if that is allowed, the account.

        Args:
            given: e-mail, password and namespace.
            peer: the address of the client. Failures count for each account and peer.

        Raises:
            AuthenticationError: the password is wrong, or the account does not exist or is disabled.
            TooManyTriesError: there were five wrong passwords within a minute, whatever the password is now; or far
                more of them from many peers, for an account that never signed in from this peer; or too many attempts
                of this peer are waiting.
        """
        try:
            async with self._turns.turn(peer):
                return await self._store.run(self._sign_in, given, peer)
        except QueueFullError:
            raise TooManyTriesError(1.0) from None

    async def user(self, pointer: str, secret: str) -> User | None:
        """Returns the user of a pointer, if the secret is a valid one of that user."""
        return await self._store.run(self._user, pointer, secret)

    async def revoke(self, pointer: str, secret: str) -> bool:
        """Ends the sign-in that issued a user secret. Returns False if the secret is not valid."""
        return await self._store.run(self._revoke, pointer, secret)

    async def namespaces(self, pointer: str) -> list[Namespace]:
        """Returns the namespaces of an account, ordered by name."""
        return await self._store.run(self._namespaces, pointer)

    # Administration

    async def create(self, given: Credentials) -> None:
        """Creates an account.

        Raises:
            ConfigurationError: the e-mail has an account already.
        """
        if await self._store.run(self._create, given) is None:
            raise ConfigurationError(f"{given.email} has an account already")

    async def change_password(self, given: Credentials) -> None:
        """Changes the password of an account, and ends all its sign-ins.

        Raises:
            ConfigurationError: the e-mail has no account.
        """
        hashed = await self._store.run(_HASHER.hash, given.password)
        await self._store.run(self._change, given.email, "password", hashed)

    async def disable(self, email: str) -> None:
        """Disables an account: nobody can sign in, and all its sign-ins end.

        Raises:
            ConfigurationError: the e-mail has no account.
        """
        await self._store.run(self._change, email, "disabled", 1)

    async def enable(self, email: str) -> None:
        """Enables a disabled account. Its old sign-ins stay ended.

        Raises:
            ConfigurationError: the e-mail has no account.
        """
        await self._store.run(self._change, email, "disabled", 0)

    async def accounts(self) -> list[Account]:
        """Returns all accounts, ordered by e-mail."""
        return await self._store.run(self._list)

    def _sign_in(self, given: Credentials, peer: str) -> SignIn:
        nobody = given.email.lower(), _hash_of_nobody()
        with self._store.reading() as database:
            found = database.execute(
                "SELECT pointer, password FROM accounts WHERE email = ?", (given.email.lower(),)
            ).fetchone()
            # Failures for an e-mail without an account are counted by e-mail, and are answered just as slowly.
            account, hashed = found or nobody
            self._failures.check(database, account, peer)
        if found is None and self._sign_up:
            return self._create(given, peer) or self._sign_in(given, peer)
        right = _matches(hashed, given.password) and found is not None
        with self._store.transaction() as database:
            # Checked again: attempts that were checked at the same time count too, or many at once would pass.
            self._failures.check(database, account, peer)
            if right:
                self._refuse_disabled(database, account)
                self._failures.know(database, account, peer)
                return self._sign_ins.issue(database, account, given.namespace, created=False)
            self._failures.note(database, account, peer)
        raise AuthenticationError("wrong e-mail or password")

    def _refuse_disabled(self, database: sqlite3.Connection, account: str) -> None:
        (disabled,) = database.execute("SELECT disabled FROM accounts WHERE pointer = ?", (account,)).fetchone()
        if disabled:
            raise AuthenticationError("this account is disabled; ask the hub's administrator")

    def _create(self, given: Credentials, peer: str | None = None) -> SignIn | None:
        """Creates an account and signs in to it; returns None if somebody else created it meanwhile."""
        hashed = _HASHER.hash(given.password)
        account = secrets.token_hex(16)
        with self._store.transaction() as database:
            created = database.execute(
                "INSERT OR IGNORE INTO accounts (pointer, email, password, created) VALUES (?, ?, ?, ?)",
                (account, given.email.lower(), hashed, self._clock()),
            ).rowcount
            if not created:
                return None
            if peer is not None:
                self._failures.know(database, account, peer)
            return self._sign_ins.issue(database, account, given.namespace, created=True)

    def _user(self, pointer: str, secret: str) -> User | None:
        with self._store.reading() as database:
            if self._sign_ins.find(database, pointer, secret) is None:
                return None
            (email,) = database.execute("SELECT email FROM accounts WHERE pointer = ?", (pointer,)).fetchone()
            due = self._sign_ins.uses_are_due
        if due:
            with self._store.transaction() as database:
                self._sign_ins.write_uses(database)
        return User(pointer, email)

    def _revoke(self, pointer: str, secret: str) -> bool:
        with self._store.transaction() as database:
            number = self._sign_ins.find(database, pointer, secret)
            return database.execute("DELETE FROM sign_ins WHERE id = ?", (number,)).rowcount > 0

    def _namespaces(self, pointer: str) -> list[Namespace]:
        with self._store.reading() as database:
            rows = database.execute("SELECT pointer, name FROM namespaces WHERE account = ? ORDER BY name", (pointer,))
            return [Namespace(*row) for row in rows]

    def _change(self, email: str, column: str, value: object) -> None:
        with self._store.transaction() as database:
            found = database.execute("SELECT pointer FROM accounts WHERE email = ?", (email.lower(),)).fetchone()
            if found is None:
                raise ConfigurationError(f"there is no account {email}; create it with `hub user add`")
            database.execute(f"UPDATE accounts SET {column} = ? WHERE pointer = ?", (value, found[0]))  # noqa: S608 - ours
            database.execute("DELETE FROM sign_ins WHERE account = ?", found)

    def _list(self) -> list[Account]:
        with self._store.reading() as database:
            rows = database.execute("SELECT email, disabled, created FROM accounts ORDER BY email")
            return [Account(email, bool(disabled), created) for email, disabled, created in rows]


@functools.cache
def _hash_of_nobody() -> str:
    """Returns the hash that the password for an unknown e-mail is compared with."""
    return _HASHER.hash(secrets.token_hex(32))


def _matches(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except VerifyMismatchError:
        return False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user signs in with.

    Args:
        email: at most 254 bytes; its case does not matter.
        password: 1 to 1024 bytes.
        namespace: 1 to 128 bytes.

    Raises:
        ConfigurationError: a field is invalid; the message has its value (never the password's) and what is allowed.
    """

    email: str
    password: str = field(repr=False)
    namespace: str

    def __post_init__(self) -> None:
        _check("email", self.email, 254, r"[^@\s]{1,64}@[^@\s]+", "an address such as me@example.org, up to 254 bytes")
        _check("namespace", self.namespace, 128, r"\S(.*\S)?", "a name of 1 to 128 bytes")
        if not 0 < _size(self.password) <= 1024:
            raise ConfigurationError("password is not allowed; it must be text of 1 to 1024 bytes")

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """Reads credentials from a request's JSON object. Unknown keys are ignored."""
        return cls(tree.get("email"), tree.get("password"), tree.get("namespace"))  # type: ignore[arg-type]


def _check(name: str, value: object, high: int, pattern: str, allowed: str) -> None:
    if not (0 < _size(value) <= high and str(value).isprintable() and re.fullmatch(pattern, str(value))):
        raise ConfigurationError(f"{name} = {value!r:.100} is not allowed; it must be {allowed}")


def _size(value: object) -> int:
    """Returns the size of a text in UTF-8; 0 if the value is not a text or not valid Unicode."""
    try:
        return len(value.encode()) if isinstance(value, str) else 0
    except UnicodeEncodeError:
        return 0
