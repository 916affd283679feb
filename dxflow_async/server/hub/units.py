"""Units of a hub: which there are, whose they are, and what state they are in.

A hub has no machines of its own: a registered unit's server is run by whoever registered it, and what is started and
stopped here is what the hub says of it. The one unit that a hub may serve itself (`LOCAL`) obeys.

A unit's secrets are given to its owner again and again, so they are kept sealed (`vault.py`), not as digests.
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
"""Of one account, those that were terminated not counted."""

_NONE: Mapping[str, str] = {}
"""Stands for secrets that were not given; not for null."""

_COLUMNS = "pointer, account, name, status, ip, protocol, secrets, type, directory"


@dataclass(frozen=True, slots=True)
class UnitType:
    """What a unit is: a provider's machine. Memory and disk are GB."""

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
        """As the wire has it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class NewUnit:
    """A unit to be registered.

    Args:
        name: 1 to 128 bytes without a slash; of an account's units that are not terminated each has its own.
        ip: host, or host:port, as a URL has it.
        protocol: `"HTTP"` or `"HTTPS"`.
        secrets: what its server takes.
        type: what it is.

    Raises:
        ConfigurationError: naming the field and what is allowed, never a secret.
    """

    name: str
    ip: str
    protocol: str
    secrets: UnitSecrets
    type: UnitType = field(default_factory=UnitType)

    def __post_init__(self) -> None:
        _check_text("name", self.name)
        if "/" in self.name:
            raise ConfigurationError("name is not allowed; locations are written unit:/NAME/path, so it has no slash")
        host = r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?"
        if not (isinstance(self.ip, str) and re.fullmatch(host, self.ip)):
            raise ConfigurationError("ip is not allowed; it must be host or host:port")
        if self.protocol not in ("HTTP", "HTTPS"):
            raise ConfigurationError("protocol is not allowed; it must be HTTP or HTTPS")

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """A unit from a request's JSON object; without secrets it gets new ones."""
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
    """A unit the hub knows. `directory` is the name of its volume where the hub serves it itself, else None."""

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
        """As the wire has it, secrets in clear."""
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
        vault: seals their secrets.
        clock: seconds since the epoch.
    """

    def __init__(self, store: Store, vault: Vault, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock

    async def register(self, account: str, unit: NewUnit) -> RegisteredUnit:
        """Make a unit known; it is READY.

        Raises:
            ComputeUnitError: the account has one of that name, or too many.
        """
        return await self._store.run(self._register, account, unit)

    async def find(self, account: str, *, status: str | None = None, name: str | None = None) -> list[RegisteredUnit]:
        """The units that an account sees, in the order they were registered."""
        return await self._store.run(self._find, account, status, name)

    async def get(self, pointer: str, secret: str) -> RegisteredUnit | None:
        """The unit of that pointer, if the secret is its RW."""
        return await self._store.run(self._get, pointer, secret)

    async def set_status(self, pointer: str, status: str) -> None:
        """Note what state a unit is in.

        Raises:
            ComputeUnitError: it was terminated, which is final.
        """
        await self._store.run(self._set_status, pointer, status)

    async def ensure_demo(self, account: str) -> RegisteredUnit:
        """The unit that the hub serves an account, READY again whatever became of it. Each account has its own."""
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
