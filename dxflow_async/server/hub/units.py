"""The units of a hub: which exist, who owns them, and their state.

A hub has no machines of its own. Whoever registers a unit runs its server, and starting or stopping it here changes
only what the hub reports. The one unit that a hub may serve itself (`LOCAL`) starts and stops in fact.

A unit's secrets are returned to its owner again and again, so they are kept encrypted (`vault.py`), not as digests.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dxflow_async.exceptions import ComputeUnitError, ConfigurationError
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.server.hub.database import Store
from dxflow_async.server.hub.vault import Vault

__all__ = ["DEMO", "READY", "STOPPED", "TERMINATED", "NewUnit", "RegisteredUnit", "UnitType", "Units"]

READY, STOPPED, TERMINATED = "READY", "STOPPED", "TERMINATED"

DEMO = "Demo"
"""The unit that an embedded hub serves itself."""

MAX_UNITS = 1000
"""Units of one account, without terminated ones."""

_NONE: Mapping[str, str] = {}
"""Stands for secrets that were not given, which null does not."""

_COLUMNS = "pointer, account, name, status, ip, protocol, secrets, type, directory"


@dataclass(frozen=True, slots=True)
class UnitType:
    """The kind of machine that a unit is. Memory and disk are in GB."""

    provider: str = "local"
    name: str = "process"
    cpu: int = 1
    memory: float = 1
    disk: float = 1

    def __post_init__(self) -> None:
        for name in ("provider", "name"):
            _check_text(f"type.{name}", getattr(self, name))
        for name in ("cpu", "memory", "disk"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
                raise ConfigurationError(f"type.{name} is not allowed; it must be a number from 0 to 1e9")

    def to_dict(self) -> dict[str, Any]:
        """Returns the object that is sent."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class NewUnit:
    """A unit to be registered.

    Args:
        name: 1 to 128 bytes without a slash, unique among the account's units that are not terminated.
        ip: `host` or `host:port`, as in a URL.
        protocol: `"HTTP"` or `"HTTPS"`.
        secrets: the secrets that its server accepts.
        type: the kind of machine.

    Raises:
        ConfigurationError: a field is not allowed; the message never has a secret.
    """

    name: str
    ip: str
    protocol: str
    secrets: UnitSecrets
    type: UnitType = field(default_factory=UnitType)

    def __post_init__(self) -> None:
        _check_text("name", self.name)
        if "/" in self.name:
            raise ConfigurationError(
                "name is not allowed; locations are written unit:/NAME/path, so a name has no slash"
            )
        host = r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?"
        if not (isinstance(self.ip, str) and re.fullmatch(host, self.ip)):
            raise ConfigurationError("ip is not allowed; it must be host or host:port")
        if self.protocol not in ("HTTP", "HTTPS"):
            raise ConfigurationError("protocol is not allowed; it must be HTTP or HTTPS")

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """Reads a unit from a request's JSON object. A unit without secrets gets new ones."""
        given, kind = tree.get("secrets", _NONE), tree.get("type", {})
        if given is not _NONE and not (isinstance(given, dict) and given.keys() == {"RW", "RO"}):
            raise ConfigurationError('secrets is not allowed; it must be {"RW": ..., "RO": ...}')
        if not isinstance(kind, dict) or not kind.keys() <= set(UnitType.__slots__):
            raise ConfigurationError(f"type is not allowed; it may have {', '.join(UnitType.__slots__)}")
        made = UnitSecrets.generate() if given is _NONE else UnitSecrets(given["RW"], given["RO"])
        protocol = tree.get("protocol", "HTTPS")
        return cls(tree.get("name", ""), tree.get("ip", ""), protocol, made, UnitType(**kind))


@dataclass(frozen=True, slots=True)
class RegisteredUnit:
    """A unit that the hub knows. `directory` names its volume if the hub serves it itself."""

    pointer: str
    account: str
    name: str
    status: str
    ip: str
    protocol: str
    secrets: UnitSecrets
    type: UnitType
    directory: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the object that is sent, with secrets in clear text."""
        return {
            "pointer": self.pointer,
            "name": self.name,
            "status": self.status,
            "ip": self.ip,
            "protocol": self.protocol,
            "secrets": self.secrets.to_dict(),
            "type": self.type.to_dict(),
        }


class Units:
    """The units of a hub.

    Args:
        store: the hub's database.
        vault: encrypts their secrets.
        clock: returns seconds since the epoch.
    """

    def __init__(self, store: Store, vault: Vault, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock

    async def register(self, account: str, unit: NewUnit) -> RegisteredUnit:
        """Registers a unit. It is READY.

        Raises:
            ComputeUnitError: the account has a unit of that name, or too many units.
        """
        return await self._store.run(self._register, account, unit)

    async def find(self, account: str, *, status: str | None = None, name: str | None = None) -> list[RegisteredUnit]:
        """Returns the units of an account, in the order in which they were registered."""
        return await self._store.run(self._find, account, status, name)

    async def get(self, pointer: str, secret: str) -> RegisteredUnit | None:
        """Returns the unit of a pointer, if the secret is its RW secret."""
        return await self._store.run(self._get, pointer, secret)

    async def set_status(self, pointer: str, status: str) -> None:
        """Sets the state of a unit.

        Raises:
            ComputeUnitError: the unit was terminated, which is final.
        """
        await self._store.run(self._set_status, pointer, status)

    async def ensure_demo(self, account: str) -> RegisteredUnit:
        """Returns the account's unit that the hub serves itself, and makes it READY. Each account has its own."""
        return await self._store.run(self._ensure_demo, account)

    def _register(self, account: str, unit: NewUnit) -> RegisteredUnit:
        with self._store.transaction() as database:
            names = database.execute(
                "SELECT name FROM units WHERE account = ? AND status != ? AND directory IS NULL", (account, TERMINATED)
            ).fetchall()
            if len(names) >= MAX_UNITS:
                raise ComputeUnitError(f"the account has {MAX_UNITS} units, which is the limit; terminate one")
            if (unit.name,) in names:
                raise ComputeUnitError(f"the account has a unit {unit.name!r}; choose another name")
            return self._insert(database, account, unit)

    def _insert(
        self, database: sqlite3.Connection, account: str, unit: NewUnit, directory: str | None = None
    ) -> RegisteredUnit:
        pointer = secrets.token_hex(16)
        sealed = self._vault.seal(f"unit {pointer}", unit.secrets.to_dict())
        kind = json.dumps(unit.type.to_dict())
        values = (pointer, account, unit.name, READY, unit.ip, unit.protocol, sealed, kind, directory, self._clock())
        database.execute(f"INSERT INTO units ({_COLUMNS}, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608
        known = pointer, account, unit.name, READY, unit.ip, unit.protocol, unit.secrets, unit.type, directory
        return RegisteredUnit(*known)

    def _find(self, account: str, status: str | None, name: str | None) -> list[RegisteredUnit]:
        with self._store.reading() as database:
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM units WHERE account = :account"  # noqa: S608 - ours
                " AND (:status IS NULL OR status = :status) AND (:name IS NULL OR name = :name)"
                " ORDER BY created, rowid",
                {"account": account, "status": status, "name": name},
            ).fetchall()
        return [self._unit(row) for row in rows]

    def _get(self, pointer: str, secret: str) -> RegisteredUnit | None:
        with self._store.reading() as database:
            row = database.execute(f"SELECT {_COLUMNS} FROM units WHERE pointer = ?", (pointer,)).fetchone()  # noqa: S608
        unit = None if row is None else self._unit(row)
        return unit if unit is not None and unit.secrets.access(secret) == "RW" else None

    def _set_status(self, pointer: str, status: str) -> None:
        with self._store.transaction() as database:
            changed = database.execute(
                "UPDATE units SET status = ? WHERE pointer = ? AND status != ?", (status, pointer, TERMINATED)
            ).rowcount
        if not changed and status != TERMINATED:
            raise ComputeUnitError("this unit was terminated; register another")

    def _ensure_demo(self, account: str) -> RegisteredUnit:
        with self._store.transaction() as database:
            row = database.execute(
                f"SELECT {_COLUMNS} FROM units WHERE account = ? AND directory IS NOT NULL",  # noqa: S608 - ours
                (account,),
            ).fetchone()
            if row is None:
                (first,) = database.execute("SELECT pointer FROM accounts ORDER BY created, rowid LIMIT 1").fetchone()
                directory = DEMO if first == account else f"{DEMO}-{account}"
                unit = NewUnit(DEMO, "localhost", "HTTP", UnitSecrets.generate())
                return self._insert(database, account, unit, directory)
            database.execute("UPDATE units SET status = ? WHERE pointer = ?", (READY, row[0]))
        return self._unit((*row[:3], READY, *row[4:]))

    def _unit(self, row: tuple[Any, ...]) -> RegisteredUnit:
        pointer, account, name, status, ip, protocol, sealed, kind, directory = row
        given = self._vault.open(f"unit {pointer}", sealed)
        return RegisteredUnit(
            pointer,
            account,
            name,
            status,
            ip,
            protocol,
            UnitSecrets(given["RW"], given["RO"]),
            UnitType(**json.loads(kind)),
            directory,
        )


def _check_text(name: str, value: object) -> None:
    if not (isinstance(value, str) and value.isprintable() and value == value.strip() and 0 < _size(value) <= 128):
        raise ConfigurationError(f"{name} is not allowed; it must be printable text of 1 to 128 bytes")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
