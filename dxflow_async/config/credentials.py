"""Credentials that a program hands out itself: what the `credentials` function of a remote's settings returns.

    async def keys() -> AccessKeys:
        answer = await vault.read("aws/creds/uploads")
        return AccessKeys(answer.key, answer.secret, answer.token, expires=time.time() + answer.lease_seconds)

    AsyncSession(remotes={"results": S3Settings(region="eu-central-1", credentials=keys)})

A session calls the function before its first request and again before the credentials end, once for all tasks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from dxflow_async.config.texts import trim_texts
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret

__all__ = [
    "AccessKeys",
    "BearerToken",
    "CredentialsFunction",
    "SASToken",
    "check_credentials",
    "end_of",
]

T = TypeVar("T")

CredentialsFunction = Callable[[], Awaitable[T]]
"""An async function without arguments that returns credentials."""

_MILLISECONDS = 1e11
"""No time in seconds is that late; those in milliseconds are."""


@dataclass(frozen=True, slots=True)
class AccessKeys:
    """Keys that sign requests to S3.

    Attributes:
        access_key: the access key's id.
        secret_key: the secret access key.
        session_token: the token of temporary credentials.
        expires: when they end: a `datetime` with a time zone, or seconds since the epoch. None: they do not end.

    Raises:
        ConfigurationError: a value is not valid; the message names the field and shows no value.

    Example:
        >>> AccessKeys("AKIDEXAMPLE", "hush")
        AccessKeys(access_key='AKIDEXAMPLE', expires=None)
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: datetime | float | None = None

    def __post_init__(self) -> None:
        _check_text(self, "access_key")
        _check_text(self, "secret_key", secret=True)
        if self.session_token is not None:
            _check_text(self, "session_token", secret=True)
        end_of(self)


@dataclass(frozen=True, slots=True)
class BearerToken:
    """An OAuth 2.0 access token, for Azure Blob Storage or Google Cloud Storage.

    Attributes:
        token: the token, without `Bearer`.
        expires: as for `AccessKeys`.

    Raises:
        ConfigurationError: as for `AccessKeys`.
    """

    token: str = field(repr=False)
    expires: datetime | float | None = None

    def __post_init__(self) -> None:
        _check_text(self, "token", secret=True)
        end_of(self)


@dataclass(frozen=True, slots=True)
class SASToken:
    """A shared access signature, for Azure Blob Storage.

    Attributes:
        token: the signature's query string, with or without its question mark.
        expires: as for `AccessKeys`.

    Raises:
        ConfigurationError: as for `AccessKeys`.
    """

    token: str = field(repr=False)
    expires: datetime | float | None = None

    def __post_init__(self) -> None:
        _check_text(self, "token", secret=True)
        end_of(self)


def end_of(credentials: AccessKeys | BearerToken | SASToken) -> float:
    """Returns when credentials end, in seconds since the epoch; infinity if they do not.

    Raises:
        ConfigurationError: `expires` is not a time.
    """
    expires: Any = credentials.expires
    name = f"{type(credentials).__name__}.expires"
    if expires is None:
        return math.inf
    if isinstance(expires, datetime):
        if expires.tzinfo is None:
            raise ConfigurationError(f"{name} is not allowed: it has no time zone; use datetime.now(UTC) and the like")
        return expires.timestamp()
    if isinstance(expires, bool) or not isinstance(expires, int | float) or not math.isfinite(expires):
        raise ConfigurationError(f"{name} is not allowed; it must be a datetime, seconds since the epoch, or None")
    if expires > _MILLISECONDS:
        raise ConfigurationError(f"{name} is not allowed: it seems to be in milliseconds; it must be in seconds")
    return float(expires)


def check_credentials(section: str, settings: Any, returned: str, *others: str) -> None:
    """Checks the `credentials` of settings: a function, and the only credentials there are.

    Args:
        section: the settings' name in messages.
        settings: the settings.
        returned: what the function returns, for the message.
        others: the settings that are credentials too.

    Raises:
        ConfigurationError: it is no function, or another one is set as well.
    """
    if settings.credentials is None:
        return
    if not callable(settings.credentials):
        object.__setattr__(settings, "credentials", None)  # a key that was put there is not shown by any dump
        raise ConfigurationError(f"{section}.credentials must be an async function that returns {returned}")
    for name in others:
        if getattr(settings, name) is not None:
            raise ConfigurationError(f"{section}.credentials and {section}.{name} exclude each other: set one of them")


def _check_text(credentials: Any, name: str, *, secret: bool = False) -> None:
    trim_texts(credentials, name)
    value = getattr(credentials, name)
    if not (isinstance(value, str) and re.fullmatch(r"[!-~]+", value)):
        object.__setattr__(credentials, name, None)  # see above
        shown = f"{type(credentials).__name__}.{name}"
        del value
        raise ConfigurationError(f"{shown} is not allowed; it must be a text of visible ASCII characters")
    if secret:
        object.__setattr__(credentials, name, Secret(value))
