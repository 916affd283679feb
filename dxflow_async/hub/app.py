"""The hub's HTTP side: signing in, and who a secret belongs to.

Every failure answers with `{"error": {"code": ..., "message": ...}}`; no request body and no header reaches a log.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from dxflow_async.exceptions import AuthenticationError, ConfigurationError
from dxflow_async.hub.accounts import Accounts, TooManyTriesError
from dxflow_async.hub.credentials import Credentials

__all__ = ["ACCOUNTS", "MAX_BODY_SIZE", "create_app"]

MAX_BODY_SIZE = 64 << 10
"""Bytes of a request's body."""

ACCOUNTS = web.AppKey("accounts", Accounts)

_log = logging.getLogger("dxflow_async.hub")

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


def create_app(home: Path, *, clock: Callable[[], float] = time.time) -> web.Application:
    """The hub as an aiohttp application; its database lies in `home` and is opened when the application starts.

    Args:
        home: the directory of the database, made when missing.
        clock: seconds since the epoch, for what expires.

    Raises:
        ConfigurationError: at the start, when the database cannot be used.
    """

    async def accounts(app: web.Application) -> AsyncIterator[None]:
        app[ACCOUNTS] = await Accounts.open(home, clock=clock)
        yield
        await app[ACCOUNTS].aclose()

    app = web.Application(middlewares=[_errors_as_json], client_max_size=MAX_BODY_SIZE)
    app.cleanup_ctx.append(accounts)
    app.router.add_post("/auth/login/", sign_in)
    app.router.add_get("/users/{pointer}/", show_user)
    app.router.add_get("/healthz", show_health)
    return app


async def sign_in(request: web.Request) -> web.Response:
    """`POST /auth/login/`: e-mail, password and namespace for a user's and a namespace's secret."""
    tree = await _json_object(request)
    try:
        credentials = Credentials.from_dict(tree)
    except ConfigurationError as error:
        raise _refusal(web.HTTPBadRequest, "invalid_field", str(error)) from error
    try:
        issued = await request.app[ACCOUNTS].sign_in(credentials, request.remote or "")
    except TooManyTriesError as error:
        wait = {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
        raise _refusal(web.HTTPTooManyRequests, "too_many_tries", str(error), wait) from error
    except AuthenticationError as error:
        raise _refusal(web.HTTPUnauthorized, "wrong_credentials", str(error)) from error
    answer = {
        "user": {"pointer": issued.user_pointer, "secret": issued.user_secret},
        "namespace": {"pointer": issued.namespace_pointer, "secret": issued.namespace_secret},
        "created": issued.created,
    }
    return web.json_response(answer, headers={"Cache-Control": "no-store"})


async def show_user(request: web.Request) -> web.Response:
    """`GET /users/{pointer}/`: the user, to whoever holds a valid secret of theirs."""
    secret = request.headers.get("X-SECRET-KEY", "")
    user = await request.app[ACCOUNTS].user(request.match_info["pointer"], secret)
    if user is None:
        raise _refusal(web.HTTPUnauthorized, "wrong_secret", "this secret is not, or no longer, valid for this user")
    return web.json_response({"user": {"pointer": user.pointer, "email": user.email}})


async def show_health(_request: web.Request) -> web.Response:
    """`GET /healthz`: the hub answers."""
    return web.json_response({"status": "ok"})


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.content_type == "application/json":
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return _error(error.status, _CODES.get(error.status, "http_error"), error.reason, headers)
    except web.RequestPayloadError:
        return _error(400, "malformed_body", "the body cannot be decoded")
    except sqlite3.OperationalError:
        _log.exception("%s %s: the database did not answer", request.method, request.rel_url.raw_path)
        return _error(503, "database_unavailable", "the hub's database did not answer; try again", {"Retry-After": "1"})
    except Exception:  # noqa: BLE001 - the last resort: logged with its traceback, answered as JSON
        _log.exception("%s %s failed", request.method, request.rel_url.raw_path)
        return _error(500, "internal", "the hub failed; its log says why")


async def _json_object(request: web.Request) -> dict[str, Any]:
    # Not text/plain: a web page may post that to a loopback port without asking, but not JSON.
    if request.content_type != "application/json":
        raise _refusal(web.HTTPUnsupportedMediaType, "not_json", "send Content-Type: application/json")
    try:
        tree = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise _refusal(web.HTTPBadRequest, "malformed_json", "the body is not valid JSON") from error
    if not isinstance(tree, dict):
        raise _refusal(web.HTTPBadRequest, "malformed_json", "the body must be a JSON object")
    return tree


def _refusal(
    cls: type[web.HTTPError], code: str, message: str, headers: Mapping[str, str] | None = None
) -> web.HTTPError:
    return cls(text=_body(code, message), content_type="application/json", headers=headers)


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=_body(code, message), content_type="application/json", headers=headers)


def _body(code: str, message: str) -> str:
    return json.dumps({"error": {"code": code, "message": message}})
