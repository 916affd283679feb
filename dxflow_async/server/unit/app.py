"""A unit's server: the storage routes on one directory.

`files.py` and `download.py` serve the volume, and `tus.py` the uploads. Every request has the header `X-SECRET-KEY`.
Only asking what uploads can do, and whether the unit answers, takes no secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from dxflow_async.server.common.middleware import ACTIVITY, Activity, handle_errors, mark_answer, refusal
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.server.unit import download, files, tus
from dxflow_async.server.unit.copies import Copies
from dxflow_async.server.unit.slow_answers import RunningWork
from dxflow_async.server.unit.unit import UNIT, Unit

__all__ = ["CONNECTION_OPTIONS", "create_unit_app"]

SWEEP_SECONDS = 300.0
"""Seconds between two searches for expired uploads."""

CONNECTION_OPTIONS = {"max_field_size": 128 << 10, "read_bufsize": 256 << 10, "auto_decompress": False}
"""For the runner: a final upload's header lists its parts, and bodies come in large pieces, without decoding."""

_log = logging.getLogger("dxflow_async.hub.unit")


def create_unit_app(root: Path, secrets: UnitSecrets, *, durable: bool = True) -> web.Application:
    """Creates the unit as an aiohttp application. Run it with `CONNECTION_OPTIONS`.

    Args:
        root: the directory that is served.
        secrets: the secrets that requests must have.
        durable: see `Unit`.

    Raises:
        ConfigurationError: the directory cannot be served.
    """
    app = web.Application(middlewares=[handle_errors, _authorized], client_max_size=64 << 10)
    app[UNIT] = Unit(root, secrets, durable=durable)
    app[files.COPIES] = Copies()
    app[tus.CONCATENATIONS] = RunningWork()
    app[ACTIVITY] = Activity()
    app.on_response_prepare.append(mark_answer)
    app.cleanup_ctx.append(_running)
    app.router.add_get("/healthz", _show_health)
    files.add_routes(app.router)
    download.add_routes(app.router)
    tus.add_routes(app.router)
    return app


async def _running(app: web.Application) -> AsyncIterator[None]:
    sweeping = asyncio.create_task(_sweep(app[UNIT]))
    yield
    sweeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sweeping
    await app[UNIT].aclose()
    await app[files.COPIES].aclose()
    await app[tus.CONCATENATIONS].aclose()


async def _sweep(unit: Unit) -> None:
    while True:
        try:
            await unit.run(unit.uploads.sweep)
        except OSError:
            _log.exception("expired uploads of %s could not be removed", unit.volume.path)
        await asyncio.sleep(SWEEP_SECONDS)


async def _show_health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


@web.middleware
async def _authorized(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method == "OPTIONS" or request.rel_url.raw_path == "/healthz":
        return await handler(request)
    unit = request.app[UNIT]
    access = unit.secrets.access(request.headers.get("X-SECRET-KEY", ""))
    if access is None:
        raise refusal(web.HTTPUnauthorized, "wrong_secret", "send a secret of this unit in the header X-SECRET-KEY")
    reads = request.method in ("GET", "HEAD") and not request.rel_url.raw_path.startswith(tus.PATH)
    if access != "RW" and not reads:
        raise refusal(web.HTTPForbidden, "read_only", "the secret RO may only list and download; send RW")
    if unit.stopped:
        raise refusal(web.HTTPServiceUnavailable, "unit_stopped", "this unit is stopped; start it first")
    return await handler(request)
