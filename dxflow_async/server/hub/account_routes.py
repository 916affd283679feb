"""The routes of one account: the user, its namespaces, its providers' settings, and ending a sign-in.

All of them are below `/users/{pointer}/` and take a secret of that user in the header `X-SECRET-KEY`.
"""

from __future__ import annotations

from aiohttp import web

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.server.common.middleware import refusal
from dxflow_async.server.hub.provider_settings import ProviderSettings
from dxflow_async.server.hub.requests import ACCOUNTS, json_object, signed_in

__all__ = ["PROVIDERS", "add_routes"]

PROVIDERS = web.AppKey("providers", ProviderSettings)

_PRIVATE = {"Cache-Control": "no-store"}


def add_routes(router: web.UrlDispatcher) -> None:
    """Adds these routes."""
    router.add_get("/users/{pointer}/", show_user)
    router.add_get("/users/{pointer}/namespaces/", list_namespaces)
    router.add_delete("/users/{pointer}/sign-in/", sign_out)
    router.add_get("/users/{pointer}/providers/", list_providers)
    router.add_put("/users/{pointer}/providers/{provider}/", set_provider)
    router.add_delete("/users/{pointer}/providers/{provider}/", forget_provider)


async def show_user(request: web.Request) -> web.Response:
    """`GET /users/{pointer}/`: returns the user."""
    user = await signed_in(request)
    return web.json_response({"user": {"pointer": user.pointer, "email": user.email}})


async def list_namespaces(request: web.Request) -> web.Response:
    """`GET .../namespaces/`: lists the namespaces that were signed in to."""
    user = await signed_in(request)
    found = await request.app[ACCOUNTS].namespaces(user.pointer)
    listed = [{"pointer": each.pointer, "name": each.name} for each in found]
    return web.json_response({"total": len(listed), "list": listed})


async def sign_out(request: web.Request) -> web.Response:
    """`DELETE .../sign-in/`: revokes this secret and the namespace's secret that was issued with it."""
    user = await signed_in(request)
    await request.app[ACCOUNTS].revoke(user.pointer, request.headers["X-SECRET-KEY"])
    return web.json_response({})


async def list_providers(request: web.Request) -> web.Response:
    """`GET .../providers/`: returns the settings of each provider, with credentials in clear text."""
    user = await signed_in(request)
    return web.json_response(await request.app[PROVIDERS].all_of(user.pointer), headers=_PRIVATE)


async def set_provider(request: web.Request) -> web.Response:
    """`PUT .../providers/{provider}/`: stores settings, named as in `config.toml`."""
    user, tree = await signed_in(request), await json_object(request)
    try:
        await request.app[PROVIDERS].set(user.pointer, request.match_info["provider"], tree)
    except ConfigurationError as error:
        raise refusal(web.HTTPBadRequest, "invalid_field", str(error)) from error
    return web.json_response({})


async def forget_provider(request: web.Request) -> web.Response:
    """`DELETE .../providers/{provider}/`: deletes settings."""
    user = await signed_in(request)
    if not await request.app[PROVIDERS].forget(user.pointer, request.match_info["provider"]):
        raise refusal(web.HTTPNotFound, "not_found", "there are no settings of that provider")
    return web.json_response({})
