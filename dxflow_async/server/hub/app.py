"""The hub as an HTTP application: signing in, and the routes of `account_routes.py` and `unit_routes.py`.

`GET /openapi.json` describes all of them.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dxflow_async.server.common.middleware import ACTIVITY, Activity, handle_errors, mark_answer, refusal
from dxflow_async.server.hub import account_routes, unit_routes
from dxflow_async.server.hub.account_routes import PROVIDERS
from dxflow_async.server.hub.accounts import Accounts
from dxflow_async.server.hub.database import Store
from dxflow_async.server.hub.openapi import description
from dxflow_async.server.hub.provider_settings import ProviderSettings
from dxflow_async.server.hub.requests import ACCOUNTS, issue_sign_in, json_object
from dxflow_async.server.hub.sign_ins import SignInLimits
from dxflow_async.server.hub.unit_routes import SERVED, UNITS, ServedUnits
from dxflow_async.server.hub.units import Units
from dxflow_async.server.hub.vault import Vault

__all__ = ["KEY_HEADER", "MAX_BODY_SIZE", "MORE_PATHS", "create_app"]

KEY_HEADER = "X-Hub-Key"
"""The header with the key of a hub that answers one process only."""

MORE_PATHS: web.AppKey[dict[str, Any]] = web.AppKey("more_paths", dict)
"""OpenAPI paths of what else the application serves, which `/openapi.json` shows too."""

MAX_BODY_SIZE = 64 << 10
"""The largest body of a request, in bytes."""


_LIMITS = SignInLimits()


def create_app(
    home: Path,
    *,
    clock: Callable[[], float] = time.time,
    sign_up: bool = True,
    limits: SignInLimits = _LIMITS,
    key: str | None = None,
    page: Callable[[web.Application], None] | None = None,
) -> web.Application:
    """Creates the hub as an aiohttp application. Its database in `home` is opened when the application starts.

    Args:
        home: the directory of the database and its key; created if it is missing.
        clock: returns seconds since the epoch.
        sign_up: the first sign-in with an e-mail creates its account.
        limits: how long the secrets of a sign-in are valid.
        key: the value that every request must have in the header `KEY_HEADER`; None for no such key.
        page: adds the routes of the hub's page. It is a client of the hub, so whoever starts the hub gives it.

    Raises:
        ConfigurationError: raised at the start if the database or its key cannot be used.
    """

    async def stored(app: web.Application) -> AsyncIterator[None]:
        store = await Store.open(home)
        try:
            vault = await store.run(Vault, home)
            app[ACCOUNTS] = Accounts(store, clock=clock, sign_up=sign_up, limits=limits)
            app[UNITS] = Units(store, vault, clock=clock)
            app[PROVIDERS] = ProviderSettings(store, vault)
            yield
        finally:
            await store.aclose()

    middlewares = [handle_errors] if key is None else [handle_errors, _keyed(key)]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_SIZE)
    app[ACTIVITY] = Activity()
    app[SERVED] = ServedUnits()
    app.on_response_prepare.append(mark_answer)
    app.cleanup_ctx.append(stored)
    app.router.add_post("/auth/login/", sign_in)
    app.router.add_get("/healthz", show_health)
    app.router.add_get("/openapi.json", show_description)
    account_routes.add_routes(app.router)
    unit_routes.add_routes(app.router)
    if page is not None:
        page(app)
    return app


def _keyed(key: str) -> Middleware:
    """Returns a middleware that refuses requests without the key."""
    wanted = key.encode()

    @web.middleware
    async def keyed(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(KEY_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, wanted):
            raise refusal(web.HTTPUnauthorized, "wrong_key", "this hub only answers the process that it is part of")
        return await handler(request)

    return keyed


async def sign_in(request: web.Request) -> web.Response:
    """`POST /auth/login/`: exchanges e-mail, password and namespace for a user's and a namespace's secret."""
    issued = await issue_sign_in(request, await json_object(request))
    answer = {
        "user": {"pointer": issued.user_pointer, "secret": issued.user_secret},
        "namespace": {"pointer": issued.namespace_pointer, "secret": issued.namespace_secret},
        "created": issued.created,
    }
    return web.json_response(answer, headers={"Cache-Control": "no-store"})


async def show_health(_request: web.Request) -> web.Response:
    """`GET /healthz`: says that the hub answers."""
    return web.json_response({"status": "ok"})


async def show_description(request: web.Request) -> web.Response:
    """`GET /openapi.json`: describes the routes."""
    known = description()
    more: dict[str, Any] = request.app.get(MORE_PATHS, {})
    return web.json_response({**known, "paths": {**known["paths"], **more}})
