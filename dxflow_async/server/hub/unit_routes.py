"""The routes of units: their owner registers and lists them; the unit's secret RW controls them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from dxflow_async.exceptions import ComputeUnitError, ConfigurationError
from dxflow_async.server.common.middleware import refusal
from dxflow_async.server.common.names import parse_query, shown
from dxflow_async.server.hub.requests import json_object, signed_in
from dxflow_async.server.hub.units import READY, STOPPED, TERMINATED, NewUnit, RegisteredUnit, Units
from dxflow_async.server.unit.unit import Unit

__all__ = ["SERVED", "UNITS", "ServedUnits", "add_routes"]

UNITS = web.AppKey("units", Units)

_PRIVATE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class _Served:
    address: str
    unit: Unit


class ServedUnits:
    """The units whose servers run in this process: where they listen, and their applications."""

    def __init__(self) -> None:
        self._served: dict[str, _Served] = {}

    def add(self, pointer: str, address: str, unit: Unit) -> None:
        """Adds a unit that is served here. `address` is `host:port`."""
        self._served[pointer] = _Served(address, unit)

    def known(self, unit: RegisteredUnit) -> RegisteredUnit | None:
        """Returns the unit with its current address; None for a unit that a hub serves in another process."""
        served = self._served.get(unit.pointer)
        if served is not None:
            return replace(unit, ip=served.address)
        return unit if unit.directory is None else None

    def obey(self, pointer: str, status: str) -> None:
        """Makes a served unit answer, or stop answering."""
        if pointer in self._served:
            self._served[pointer].unit.stopped = status != READY

    async def examine(self, pointer: str) -> dict[str, Any]:
        """Returns what is found right or wrong with a unit."""
        if pointer not in self._served:
            return {"served": False, "volume": "this hub does not serve the unit; look at its own server"}
        return {"served": True, **await self._served[pointer].unit.examine()}


SERVED = web.AppKey("served", ServedUnits)


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds these routes."""
    router.add_get("/users/{pointer}/compute/units/", list_units)
    router.add_post("/users/{pointer}/compute/units/", register_unit)
    router.add_get("/compute/units/{pointer}/", show_unit)
    router.add_delete("/compute/units/{pointer}/", _become(TERMINATED))
    router.add_put("/compute/units/{pointer}/start/", _become(READY))
    router.add_put("/compute/units/{pointer}/stop/", _become(STOPPED))
    router.add_put("/compute/units/{pointer}/troubleshoot/", troubleshoot_unit)


async def list_units(request: web.Request) -> web.Response:
    """`GET /users/{pointer}/compute/units/?status=&name=`: lists the user's units with their secrets."""
    user, query = await signed_in(request), parse_query(request.rel_url.raw_query_string)
    # No name holds bytes that are not text.
    wanted = {name: shown(query[name]) for name in ("status", "name") if query.get(name)}
    found = await request.app[UNITS].find(user.pointer, **wanted)
    listed = [known.to_dict() for each in found if (known := request.app[SERVED].known(each)) is not None]
    return web.json_response({"total": len(listed), "list": listed}, headers=_PRIVATE)


async def register_unit(request: web.Request) -> web.Response:
    """`POST /users/{pointer}/compute/units/`: registers a unit that is served elsewhere (`dxflow-async unit serve`)."""
    user, tree = await signed_in(request), await json_object(request)
    try:
        registered = await request.app[UNITS].register(user.pointer, NewUnit.from_dict(tree))
    except ConfigurationError as error:
        raise refusal(web.HTTPBadRequest, "invalid_field", str(error)) from error
    except ComputeUnitError as error:
        raise refusal(web.HTTPConflict, "conflict", str(error)) from error
    return web.json_response(registered.to_dict(), status=201, headers=_PRIVATE)


async def show_unit(request: web.Request) -> web.Response:
    """`GET /compute/units/{pointer}/`: returns the unit."""
    return _described(await _owned(request))


async def troubleshoot_unit(request: web.Request) -> web.Response:
    """`PUT /compute/units/{pointer}/troubleshoot/`: returns the unit, with what was found under `detail`."""
    unit = await _owned(request)
    if unit.status == TERMINATED:
        raise refusal(web.HTTPConflict, "terminated", "this unit was terminated; register another")
    detail = await request.app[SERVED].examine(unit.pointer)
    return web.json_response({**unit.to_dict(), "detail": detail}, headers=_PRIVATE)


def _become(status: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def change(request: web.Request) -> web.Response:
        unit = await _owned(request)
        try:
            await request.app[UNITS].set_status(unit.pointer, status)
        except ComputeUnitError as error:
            raise refusal(web.HTTPConflict, "terminated", str(error)) from error
        request.app[SERVED].obey(unit.pointer, status)
        return _described(replace(unit, status=status))

    return change


async def _owned(request: web.Request) -> RegisteredUnit:
    secret, pointer = request.headers.get("X-SECRET-KEY", ""), request.match_info["pointer"]
    unit = await request.app[UNITS].get(pointer, secret)
    known = None if unit is None else request.app[SERVED].known(unit)
    if known is None:
        raise refusal(
            web.HTTPUnauthorized, "wrong_secret", "this secret is not the RW secret of a unit with that pointer"
        )
    return known


def _described(unit: RegisteredUnit) -> web.Response:
    return web.json_response(unit.to_dict(), headers=_PRIVATE)
