"""The hub's client for compute units: listing, finding, registering and changing them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

from dxflow_async.control.request import Answer, fail, invalid, request
from dxflow_async.exceptions import ComputeUnitError, ConfigurationError, UnitNotFoundError
from dxflow_async.models import Unit

__all__ = ["UnitHub", "unit_of"]

_MAX_LISTING_SIZE = 4 << 20
"""Bytes: a thousand units take less than one MiB."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")
_SECRET = re.compile(r"[!-~]{1,1024}")

_TERMINATED = "TERMINATED"
_MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class UnitHub:
    """The compute units of an account at a hub.

    Every call raises `NetworkError` when the hub cannot be reached, `ServiceError` when it fails, and
    `AuthenticationError` when it refuses the secret.

    Attributes:
        url: the hub's base URL.
        user_pointer: the signed-in user.
        user_secret: the user's secret.
        connect: opens the connections of one call.
    """

    url: str
    user_pointer: str
    user_secret: str = field(repr=False)
    connect: Callable[[], Awaitable[aiohttp.ClientSession]]

    async def units(self) -> list[Unit]:
        """Lists the account's units, in the hub's order."""
        answer = await self._ask("GET", self._own_units, self.user_secret)
        if answer.status != 200:
            fail(answer, f"{answer.hub} does not accept these secrets (any more); sign in again")
        listed = answer.tree.get("list")
        if not isinstance(listed, list):
            raise invalid(answer)
        return [_described(answer, each) for each in listed]

    async def find(self, name: str | None = None, ip_address: str | None = None) -> Unit:
        """Finds the unit of that name, or at that address; without either, the account's only unit.

        A terminated unit is found only when no other unit matches.

        Args:
            name: the name that its owner gave it.
            ip_address: its host, with or without the port.

        Raises:
            UnitNotFoundError: no unit matches; the message lists the units that there are.
            ComputeUnitError: several units match; the message lists them.
        """
        units = await self.units()
        matching = [unit for unit in units if _matches(unit, name, ip_address)]
        alive = [unit for unit in matching if unit.status != _TERMINATED]
        if not alive and (name is not None or ip_address is not None):
            alive = matching[-1:]
        wanted = _wanted(name, ip_address)
        if not alive:
            raise UnitNotFoundError(f"there is no compute unit{wanted}; {_there_are(units)}")
        if len(alive) > 1:
            raise ComputeUnitError(f"several compute units{wanted}: {_named(alive)}; give name or ip_address, or both")
        return alive[0]

    async def register(self, description: Mapping[str, Any]) -> Unit:
        """Registers a unit.

        Raises:
            ConfigurationError: the hub does not allow a field; the message names it.
            ComputeUnitError: the account has a unit of that name, or too many units.
        """
        answer = await self._ask("POST", self._own_units, self.user_secret, json=description)
        if answer.status == 400:
            raise ConfigurationError(f"the unit cannot be registered at {answer.hub}: {answer.message}")
        if answer.status == 409:
            raise ComputeUnitError(f"the unit cannot be registered at {answer.hub}: {answer.message}")
        if answer.status != 201:
            fail(answer, f"{answer.hub} does not accept these secrets (any more); sign in again")
        return _described(answer, answer.tree)

    async def look(self, unit: Unit) -> Unit:
        """Returns the unit as it is now."""
        return _described(*await self._unit("GET", unit, ""))

    async def change(self, unit: Unit, action: str) -> Unit:
        """Starts or stops a unit; `action` is `"start"` or `"stop"`.

        Raises:
            ComputeUnitError: the hub refused; the message has its reason.
        """
        return _described(*await self._unit("PUT", unit, f"{action}/"))

    async def terminate(self, unit: Unit) -> Unit:
        """Terminates a unit, for good."""
        return _described(*await self._unit("DELETE", unit, ""))

    async def troubleshoot(self, unit: Unit) -> dict[str, Any]:
        """Returns the hub's diagnosis of a unit."""
        answer, tree = await self._unit("PUT", unit, "troubleshoot/")
        detail = tree.get("detail", {})
        if not isinstance(detail, dict):
            raise invalid(answer)
        return detail

    @property
    def _own_units(self) -> str:
        return f"users/{quote(self.user_pointer, safe='')}/compute/units/"

    async def _unit(self, method: str, unit: Unit, action: str) -> tuple[Answer, dict[str, Any]]:
        path = f"compute/units/{quote(unit.pointer, safe='')}/{action}"
        answer = await self._ask(method, path, unit.rw_secret)
        if answer.status == 409:
            raise ComputeUnitError(f"{answer.hub} refused {action or method} of unit {unit.name}: {answer.message}")
        if answer.status != 200:
            fail(answer, f"{answer.hub} does not accept the secret of unit {unit.name} (any more); get the unit again")
        return answer, answer.tree

    async def _ask(self, method: str, path: str, secret: str, **options: Any) -> Answer:
        headers = {"X-SECRET-KEY": secret}
        async with await self.connect() as http:
            return await request(http, method, self.url, path, max_size=_MAX_LISTING_SIZE, headers=headers, **options)


def unit_of(tree: Any) -> Unit:
    """Parses a unit's description on the wire. Fields that are missing, as of a unit that is being made, are empty.

    Raises:
        KeyError, TypeError, AttributeError: the tree does not describe a unit.
    """
    kind, secrets = _object(tree.get("type")), _object(tree.get("secrets"))
    return Unit(
        pointer=_text(tree["pointer"]),
        name=_text(tree["name"]),
        status=_text(tree["status"]),
        ip=_known(_HOST, tree.get("ip")),
        protocol="HTTP" if tree.get("protocol") in ("HTTP", "http") else "HTTPS",
        cluster_type=f"{kind.get('provider', '')}:{kind.get('name', '')}",
        cpu=_number(kind.get("cpu")),
        memory=_number(kind.get("memory")),
        disk=_number(kind.get("disk")),
        rw_secret=_known(_SECRET, secrets.get("RW")),
        ro_secret=_known(_SECRET, secrets.get("RO")),
    )


def _matches(unit: Unit, name: str | None, ip_address: str | None) -> bool:
    host = re.sub(r":[0-9]+$", "", unit.ip)
    return (name is None or unit.name == name) and (ip_address is None or ip_address in (unit.ip, host))


def _wanted(name: str | None, ip_address: str | None) -> str:
    named = "" if name is None else f" named {name!r}"
    return named + ("" if ip_address is None else f" at {ip_address}")


def _there_are(units: list[Unit]) -> str:
    if not units:
        return "the account has none: register one that you serve"
    return f"there are {_named(units)}"


def _named(units: Iterable[Unit]) -> str:
    names = [f"{unit.name!r} ({unit.status}, {unit.ip})" for unit in units]
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _described(answer: Answer, tree: Any) -> Unit:
    try:
        return unit_of(tree)
    except (KeyError, TypeError, AttributeError) as error:
        raise invalid(answer) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _known(form: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and form.fullmatch(value) else ""


def _number(value: object) -> float:
    """Returns a number, or 0 where the hub sent none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
