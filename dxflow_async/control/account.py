"""The client's side of an account: signing in to a hub, the secrets it returns, and where they are kept."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from anyio import move_on_after

from dxflow_async.config.loader import warn_when_readable
from dxflow_async.control.request import Answer, fail, invalid, request
from dxflow_async.durability import sync_path
from dxflow_async.exceptions import ConfigurationError, DxflowError
from dxflow_async.security.redaction import Secret

__all__ = [
    "Secrets",
    "StoredLogin",
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


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of a sign-in. Pointers name the user and the namespace; secrets prove them and appear in no repr.

    Raises:
        ConfigurationError: a field is not a text of 1 to 1024 visible ASCII characters.
    """

    user_pointer: str
    user_secret: str = field(repr=False)
    namespace_pointer: str
    namespace_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not (isinstance(value, str) and re.fullmatch(r"[!-~]{1,1024}", value)):
                owner, _, part = name.partition("_")
                raise ConfigurationError(
                    f'secrets["{owner}"]["{part}"] is missing or not a text of 1 to 1024 visible ASCII characters; '
                    "pass the object that a sign-in gave"
                )
            if name.endswith("_secret"):
                object.__setattr__(self, name, Secret(value))

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """Reads secrets from `{"user": {"pointer", "secret"}, "namespace": {"pointer", "secret"}}`.

        Raises:
            ConfigurationError: a field is missing or wrong.
        """
        if not isinstance(tree, Mapping):
            raise ConfigurationError(f"secrets must be an object, not {type(tree).__name__}")
        parts = []
        for owner in ("user", "namespace"):
            if not isinstance(tree.get(owner), Mapping):
                raise ConfigurationError(f'secrets["{owner}"] must be an object with "pointer" and "secret"')
            parts += [tree[owner].get("pointer"), _hidden(tree[owner].get("secret"))]
        return cls(*parts)

    def to_dict(self) -> dict[str, dict[str, str]]:
        """Returns the same object again, with the secrets in clear text."""
        return {
            "user": {"pointer": self.user_pointer, "secret": self.user_secret},
            "namespace": {"pointer": self.namespace_pointer, "secret": self.namespace_secret},
        }


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """The login that later sessions use: `login.json` in the home directory. Its methods block shortly.

    Attributes:
        hub: the URL of the hub that issued the secrets.
        secrets: the secrets.
    """

    hub: str
    secrets: Secrets

    @classmethod
    def load(cls, home: Path) -> Self | None:
        """Returns the stored login; None if there is none. Logs a warning if other users may read the file.

        Raises:
            ConfigurationError: the file cannot be read, or is not a login.
        """
        path = _path(home)
        try:
            tree = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}; delete it and sign in again") from error
        warn_when_readable(path)
        try:
            tree = tree if isinstance(tree, dict) else {}
            hub = tree.get("hub")
            if not (isinstance(hub, str) and re.fullmatch(r"https?://[^\s?#]+", hub)):
                raise ConfigurationError("hub must be http(s)://host[:port][/path]")
            return cls(hub, Secrets.from_dict(tree.get("secrets", {})))
        except ConfigurationError as error:
            raise ConfigurationError(f"{path} is not a login: {error}; delete it and sign in again") from error

    def save(self, home: Path) -> None:
        """Writes the file so that only its owner can read it. A crash leaves either the old or the new file.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkstemp creates it with mode 0600.
            descriptor, name = tempfile.mkstemp(prefix=".login-", dir=home)
        except OSError as error:
            raise ConfigurationError(f"{_path(home)} cannot be written: {error}; set home elsewhere") from error
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"hub": self.hub, "secrets": self.secrets.to_dict()}, file)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(_path(home))
            sync_path(home)
        except BaseException as error:
            Path(name).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise ConfigurationError(f"{_path(home)} cannot be written: {error}") from error
            raise

    @staticmethod
    def forget(home: Path) -> None:
        """Deletes the stored login, if there is one. The hub still accepts its secrets."""
        _path(home).unlink(missing_ok=True)


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


def _hidden(value: object) -> Any:
    return Secret(value) if isinstance(value, str) else value


def _path(home: Path) -> Path:
    return home / "login.json"
