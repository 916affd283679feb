"""Sign-ins: the secrets that they issue, and when these expire.

Only the SHA-256 of a secret is kept, which is enough for 256 random bits. A secret expires when it was not used for
some
time, some time after it was issued, or when an account has too many: the one that was not used for longest expires.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret

__all__ = ["SignIn", "SignInLimits", "SignIns"]

MAX_SIGN_INS = 100
"""Sign-ins of one account."""
WRITE_SECONDS = 60.0
"""Seconds between two writes of last uses to the database."""
_MAX_UNWRITTEN = 10_000

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInLimits:
    """How long the secrets of a sign-in are valid, in seconds.

    Attributes:
        idle: since they were last used.
        age: since they were issued.

    Raises:
        ConfigurationError: a time is not positive.
    """

    idle: float = 30 * _DAY
    age: float = 365 * _DAY

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"sign-in {name} = {getattr(self, name)} is not allowed; it must be positive")


@dataclass(frozen=True, slots=True)
class SignIn:
    """A successful sign-in. Its secrets are returned here and never again."""

    user_pointer: str
    user_secret: str = field(repr=False)
    namespace_pointer: str
    namespace_secret: str = field(repr=False)
    created: bool


class SignIns:
    """The sign-ins in a hub's database. Each method runs while its caller holds the database.

    The last use of each secret is kept in memory and written once a minute.

    Args:
        clock: returns seconds since the epoch.
        limits: how long secrets are valid.
    """

    def __init__(self, clock: Callable[[], float], limits: SignInLimits) -> None:
        self._clock = clock
        self._limits = limits
        self._uses: dict[int, float] = {}
        self._last_use = 0.0
        self._written = clock()

    def issue(self, database: sqlite3.Connection, account: str, name: str, *, created: bool) -> SignIn:
        """Issues new secrets for a namespace of an account, within a transaction."""
        execute = database.execute
        execute("INSERT OR IGNORE INTO namespaces VALUES (?, ?, ?)", (secrets.token_hex(16), account, name))
        (namespace,) = execute(
            "SELECT pointer FROM namespaces WHERE account = ? AND name = ?", (account, name)
        ).fetchone()
        user_secret, namespace_secret = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(32))
        digests = _digest(user_secret), _digest(namespace_secret)
        execute(
            "INSERT INTO sign_ins (account, namespace, user_digest, namespace_digest, created, used)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (account, namespace, *digests, self._clock(), self._next_use()),
        )
        self.write_uses(database)
        execute(
            "DELETE FROM sign_ins WHERE account = :account AND (created <= :oldest OR used <= :idle OR id NOT IN"
            " (SELECT id FROM sign_ins WHERE account = :account ORDER BY used DESC, id DESC LIMIT :most))",
            {"account": account, "most": MAX_SIGN_INS, **self._ends()},
        )
        return SignIn(account, user_secret, namespace, namespace_secret, created)

    def find(self, database: sqlite3.Connection, account: str, secret: str) -> int | None:
        """Returns the number of the sign-in that issued a valid secret, and counts this as a use."""
        digest, ends = _digest(secret), self._ends()
        rows = database.execute(
            "SELECT id, user_digest, created, used FROM sign_ins WHERE account = ?", (account,)
        ).fetchall()
        for number, _, created, used in [row for row in rows if hmac.compare_digest(row[1], digest)]:
            if created > ends["oldest"] and self._uses.get(number, used) > ends["idle"]:
                self._uses[number] = self._next_use()
                return int(number)
        return None

    @property
    def uses_are_due(self) -> bool:
        """Whether last uses should be written."""
        return len(self._uses) > _MAX_UNWRITTEN or abs(self._clock() - self._written) >= WRITE_SECONDS

    def write_uses(self, database: sqlite3.Connection) -> None:
        """Writes last uses, within a transaction."""
        rows = [(used, number) for number, used in self._uses.items()]
        database.executemany("UPDATE sign_ins SET used = max(used, ?) WHERE id = ?", rows)
        self._uses.clear()
        self._written = self._clock()

    def _ends(self) -> dict[str, float]:
        """Returns the times at or before which a secret that was issued or last used has expired."""
        now = self._clock()
        return {"oldest": now - self._limits.age, "idle": now - self._limits.idle}

    def _next_use(self) -> float:
        """Returns the time of a use. Each is later than the one before, so that their order is known."""
        now = self._clock()
        # A clock that was set back by more than a second is believed.
        self._last_use = self._last_use + 1e-6 if now <= self._last_use < now + 1.0 else now
        return self._last_use


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
