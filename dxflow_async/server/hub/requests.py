"""What the hub's handlers read from a request: its JSON object, a sign-in, and the user who sent it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from dxflow_async.exceptions import AuthenticationError, ConfigurationError
from dxflow_async.server.common.addresses import address_group
from dxflow_async.server.common.middleware import peer_of, refusal
from dxflow_async.server.hub.accounts import Accounts, Credentials, SignIn, TooManyTriesError, User

__all__ = ["ACCOUNTS", "BODY_SECONDS", "issue_sign_in", "json_object", "signed_in"]

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


async def issue_sign_in(request: web.Request, tree: Mapping[str, Any]) -> SignIn:
    """Signs in with e-mail, password and namespace.

    Raises:
        HTTPBadRequest, HTTPTooManyRequests, HTTPUnauthorized: a field is invalid, there were too many attempts, or the
            password is wrong.
    """
    try:
        credentials = Credentials.from_dict(tree)
    except ConfigurationError as error:
        raise refusal(web.HTTPBadRequest, "invalid_field", str(error)) from error
    try:
        return await request.app[ACCOUNTS].sign_in(credentials, address_group(peer_of(request)))
    except TooManyTriesError as error:
        wait = {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
        raise refusal(web.HTTPTooManyRequests, "too_many_tries", str(error), wait) from error
    except AuthenticationError as error:
        raise refusal(web.HTTPUnauthorized, "wrong_credentials", str(error)) from error


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
