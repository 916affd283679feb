"""The client's side of an account: signing in to a hub and out of it, and the settings that it keeps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
from anyio import move_on_after

from dxflow_async.control.request import Answer, fail, invalid, request
from dxflow_async.control.stored_login import Secrets
from dxflow_async.exceptions import ConfigurationError, DxflowError

__all__ = [
    "end_sign_in",
    "forget_provider",
    "keep_provider",
    "provider_settings",
    "sign_in",
    "sign_out",
    "verify",
]

_MAX_SETTINGS_SIZE = 1 << 20
_SIGN_OUT_SECONDS = 5.0

# How servers and gateways answer requests for a route they do not have.
_NO_SUCH_ROUTE = (400, 403, 404, 405, 501)

_log = logging.getLogger("dxflow_async.account")


async def sign_in(
    http: aiohttp.ClientSession, hub_url: str, email: str, password: str, namespace: str
) -> tuple[Secrets, bool]:
    """Signs in to a hub.

    Returns:
        The secrets, and whether the hub created the account just now.

    Raises:
        AuthenticationError: wrong e-mail or password, or too many failed attempts (the message says how long to wait).
        ConfigurationError: the hub's URL is not valid.
        NetworkError: the hub was not reached, or did not answer within 30 s.
        ServiceError: the hub failed, or the answer is not a hub's.
    """
    body = {"email": email, "password": password, "namespace": namespace}
    answer = await request(http, "POST", hub_url, "auth/login/", json=body)
    if answer.status != 200:
        fail(answer, f"sign-in of {email} at {answer.hub} failed: wrong e-mail or password; check both and try again")
    try:
        return Secrets.from_dict(answer.tree), answer.tree.get("created") is True
    except ConfigurationError as error:
        raise invalid(answer) from error


async def sign_out(http: aiohttp.ClientSession, hub_url: str, secrets: Secrets) -> None:
    """Ends the sign-in of these secrets. Does nothing if it has ended already.

    Raises:
        ConfigurationError, NetworkError, ServiceError: as for `sign_in`.
    """
    headers = {"X-SECRET-KEY": secrets.user_secret}
    await request(http, "DELETE", hub_url, f"users/{quote(secrets.user_pointer, safe='')}/sign-in/", headers=headers)


async def end_sign_in(connect: Callable[[], Awaitable[aiohttp.ClientSession]], hub_url: str, secrets: Secrets) -> None:
    """As `sign_out`, but within five seconds and without raising: nobody should wait for it or fail because of it."""
    if not threading.main_thread().is_alive():
        return  # the interpreter is ending and starts no more threads, which connections and the embedded hub need
    try:
        with move_on_after(_SIGN_OUT_SECONDS):
            async with await connect() as http:
                await sign_out(http, hub_url, secrets)
    except DxflowError as error:
        _log.debug("the sign-in could not be ended: %s", error)


async def verify(http: aiohttp.ClientSession, hub_url: str, secrets: Secrets) -> None:
    """Returns if the hub still accepts the user's secret.

    Raises:
        AuthenticationError: it does not.
        ConfigurationError, NetworkError, ServiceError: as for `sign_in`.
    """
    headers = {"X-SECRET-KEY": secrets.user_secret}
    path = f"users/{quote(secrets.user_pointer, safe='')}/"
    answer = await request(http, "GET", hub_url, path, headers=headers)
    _accepted(answer)
    user = answer.tree.get("user")
    if not (isinstance(user, dict) and user.get("pointer") == secrets.user_pointer):
        raise invalid(answer)


async def provider_settings(http: aiohttp.ClientSession, hub_url: str, secrets: Secrets) -> dict[str, dict[str, Any]]:
    """Returns the account's settings for each provider, by name; empty if the hub keeps no such settings.

    Raises:
        AuthenticationError, NetworkError, ServiceError: as for `verify`.
    """
    answer = await _ask_providers(http, "GET", hub_url, secrets)
    if answer.status in _NO_SUCH_ROUTE:
        return {}
    _accepted(answer)
    return {name: settings for name, settings in answer.tree.items() if isinstance(settings, dict)}


async def keep_provider(
    http: aiohttp.ClientSession, hub_url: str, secrets: Secrets, provider: str, settings: Mapping[str, Any]
) -> None:
    """Stores the settings of a provider with the account, and replaces earlier ones.

    Raises:
        ConfigurationError: the hub does not allow them.
        AuthenticationError, NetworkError, ServiceError: as for `verify`.
    """
    answer = await _ask_providers(http, "PUT", hub_url, secrets, f"{provider}/", json=dict(settings))
    if answer.status == 400:
        raise ConfigurationError(f"{answer.hub} does not keep the settings of {provider}: {answer.message}")
    _accepted(answer)


async def forget_provider(http: aiohttp.ClientSession, hub_url: str, secrets: Secrets, provider: str) -> bool:
    """Deletes the settings of a provider from the account, and returns whether there were any. Raises as `verify`."""
    answer = await _ask_providers(http, "DELETE", hub_url, secrets, f"{provider}/")
    if answer.status == 404:
        return False
    _accepted(answer)
    return True


async def _ask_providers(
    http: aiohttp.ClientSession, method: str, hub_url: str, secrets: Secrets, below: str = "", **options: Any
) -> Answer:
    path = f"users/{quote(secrets.user_pointer, safe='')}/providers/{below}"
    headers = {"X-SECRET-KEY": secrets.user_secret}
    return await request(http, method, hub_url, path, max_size=_MAX_SETTINGS_SIZE, headers=headers, **options)


def _accepted(answer: Answer) -> None:
    if answer.status != 200:
        fail(answer, f"{answer.hub} does not accept these secrets (any more); sign in with e-mail and password")
