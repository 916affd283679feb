"""Requests about compute units, and how a hub describes them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

from dxflow_async.control.request import Answer, fail, invalid, request
from dxflow_async.exceptions import ComputeUnitError, ConfigurationError
from dxflow_async.models import Unit

__all__ = ["UnitHub", "unit_of"]

_MAX_LISTING_SIZE = 4 << 20
"""Bytes. A thousand units take less than one MiB."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")
_SECRET = re.compile(r"[!-~]{1,1024}")


@dataclass(frozen=True, slots=True)
class UnitHub:
    """A hub and a signed-in user.

    Every method raises `NetworkError` if the hub is not reached, `ServiceError` if it fails, and `AuthenticationError`
    if it refuses the secret.

    Attributes:
        url: the hub's base URL.
        user_pointer, user_secret: the signed-in user.
        connect: opens the connections of one call.
    """

    url: str
    user_pointer: str
    user_secret: str = field(repr=False)
    connect: Callable[[], Awaitable[aiohttp.ClientSession]]

    async def units(self) -> list[Unit]:
        """Returns the account's units, in the hub's order."""
        answer = await self._ask("GET", self._own_units, self.user_secret)
        if answer.status != 200:
            fail(answer, f"{answer.hub} does not accept these secrets (any more); sign in again")
        listed = answer.tree.get("list")
        if not isinstance(listed, list):
            raise invalid(answer)
        return [_described(answer, each) for each in listed]

    async def register(self, description: Mapping[str, Any]) -> Unit:
        """Registers a unit.

        Raises:
            ConfigurationError: the hub does not allow a field.
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
        """Starts or stops a unit.

        Raises:
            ComputeUnitError: the unit cannot be started or stopped; the message has the hub's reason.
        """
        return _described(*await self._unit("PUT", unit, f"{action}/"))

    async def terminate(self, unit: Unit) -> Unit:
        """Ends a unit for good."""
        return _described(*await self._unit("DELETE", unit, ""))

    async def troubleshoot(self, unit: Unit) -> dict[str, Any]:
        """Returns what the hub found right or wrong with a unit."""
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
    """Returns a unit from its description. Fields that a unit does not have yet while it is created are empty.

    Raises:
        KeyError, TypeError, AttributeError: the object does not describe a unit.
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
    """Returns a number; 0 if the hub tells none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
