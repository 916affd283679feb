"""What the hub's handlers read from a request: its JSON object, and the user who sent it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from dxflow_async.server.common.middleware import refusal
from dxflow_async.server.hub.accounts import Accounts, User

__all__ = ["ACCOUNTS", "BODY_SECONDS", "json_object", "signed_in"]

ACCOUNTS = web.AppKey("accounts", Accounts)

BODY_SECONDS = 30.0
"""Seconds in which a body must arrive."""


async def json_object(request: web.Request) -> dict[str, Any]:
    """Returns the JSON object in the body.

    Raises:
        HTTPBadRequest, HTTPUnsupportedMediaType: the body is not a JSON object, or its Content-Type is not JSON.
    """
    # text/plain is refused: a web page may post that to a loopback port without asking, but not JSON.
    if request.content_type != "application/json":
        raise refusal(web.HTTPUnsupportedMediaType, "not_json", "send Content-Type: application/json")
    async with asyncio.timeout(BODY_SECONDS):
        content = await request.read()
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise refusal(web.HTTPBadRequest, "malformed_json", "the body is not valid JSON") from error
    if not isinstance(tree, dict):
        raise refusal(web.HTTPBadRequest, "malformed_json", "the body must be a JSON object")
    return tree


async def signed_in(request: web.Request) -> User:
    """Returns the user whom the path names and whose valid secret the request has.

    Raises:
        HTTPUnauthorized: the secret is not valid.
    """
    secret = request.headers.get("X-SECRET-KEY", "")
    user = await request.app[ACCOUNTS].user(request.match_info["pointer"], secret)
    if user is None:
        raise refusal(
            web.HTTPUnauthorized, "wrong_secret", "this secret is not valid for this user, or is no longer valid"
        )
    return user
