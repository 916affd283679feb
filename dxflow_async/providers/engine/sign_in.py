"""The sign-in at an engine: a challenge is signed with a private key, and answered with a token.

All tasks share one sign-in. The token is renewed when four fifths of its lifetime are over, or when it is refused.

Source: https://github.com/dxflow-ai/docs (04.api/001.auth)
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from time import monotonic, time
from typing import Any

from dxflow_async.exceptions import AuthenticationError
from dxflow_async.providers import AccessDeniedError, Call, Secret, ServiceError, StorageError, Threads
from dxflow_async.providers.engine.envelope import Answer
from dxflow_async.providers.engine.keys import Signer
from dxflow_async.providers.engine.settings import Access

__all__ = ["KeyRefusedError", "Session"]

Ask = Callable[[Call, str, str, Any], Awaitable[Answer]]

_LIFETIME = 3600.0
"""Seconds that a token is requested for; the default of engines. Older ones give half of it."""

_USED = 0.8
"""A token is renewed when so much of its lifetime is over."""

_MILLISECONDS = 1e11
"""Times above are not in seconds."""


class KeyRefusedError(AccessDeniedError, AuthenticationError):
    """An engine refuses a key or a token."""


class Session:
    """The sign-in that all requests to an engine share.

    Args:
        access: the engine, and the key or the token.
        threads: sign, and read the key's file.
        ask: sends a request without a token.

    Attributes:
        permissions: of the key, where the engine tells them.
    """

    def __init__(self, access: Access, threads: Threads, ask: Ask) -> None:
        self.permissions: frozenset[str] = frozenset()
        self._access = access
        self._threads = threads
        self._ask = ask
        self._signer = None if access.key is None else Signer(access.key)
        self._signing_in = asyncio.Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self._fixed = access.token is not None or access.socket is not None
        self._writable = True
        if access.token is not None:
            self._take(access.token, [], 0.0)

    @property
    def read_only(self) -> bool:
        """Whether the key may only read."""
        return "READ_ONLY" in self.permissions or not self._writable

    async def token(self, call: Call) -> str | None:
        """Returns the value of the header `Authorization`; None over a Unix socket, which needs none.

        Raises:
            KeyRefusedError: the engine refuses the key.
            ConfigurationError: the key's file cannot be used.
            StorageError: the engine does not answer.
        """
        if self._fixed or (self._token is not None and monotonic() < self._renew_at):
            return self._token
        return await self._sign_in(call, self._token)

    @property
    def used(self) -> str | None:
        """The token that the last request had."""
        return self._token

    def forget(self, used: str | None) -> None:
        """Notes that the engine has refused a token: the next request signs in, unless another one did so already."""
        if not self._fixed and used == self._token:
            self._renew_at = 0.0

    async def renew(self, call: Call, used: str, refusal: StorageError) -> str | None:
        """Returns another token in the place of one that was refused.

        Args:
            call: the storage call.
            used: the header that was refused.
            refusal: the engine's.

        Raises:
            KeyRefusedError: there is no key to get another one with, or it is refused.
        """
        if self._fixed:
            raise self.refused(call, refusal) from refusal
        return await self._sign_in(call, used)

    def refused(self, call: Call, refusal: StorageError) -> StorageError:
        """Returns the error for a key or a token that the engine refuses."""
        access = self._access
        if self._signer is None or self._fixed:
            text = f"the engine at {access.address} refused the token; set key, so that it can be renewed"
        else:
            text = (
                f"the engine at {access.address} refused the key {access.key}; its public half must be in "
                "~/.dxflow/authorized_keys there"
            )
        return call.error(KeyRefusedError, text, status=refusal.status)

    async def _sign_in(self, call: Call, used: str | None) -> str | None:
        """Signs in, unless another task has done so meanwhile."""
        async with self._signing_in:
            if self._token is not None and self._token != used:
                return self._token
            try:
                await self._handshake(call)
            except AccessDeniedError:
                # A challenge lives for a short time and works once: another one may be taken.
                try:
                    await self._handshake(call)
                except AccessDeniedError as error:
                    raise self.refused(call, error) from error
            return self._token

    async def _handshake(self, call: Call) -> None:
        assert self._signer is not None
        challenge = (await self._ask(call, "GET", "/api/auth/challenge/", None)).document()
        nonce, identity = challenge.get("nonce", challenge.get("nounce")), challenge.get("identity")
        if not isinstance(nonce, str) or not isinstance(identity, str):
            raise call.error(ServiceError, "the engine's challenge has no nonce; check the address")
        signature = await self._threads.run(self._signer.sign, nonce)
        proof = {"identity": identity, "signature": signature, "lifetime": f"{int(_LIFETIME)}s"}
        asked_at = monotonic()
        granted = (await self._ask(call, "POST", "/api/auth/verify/", proof)).document()
        token = granted.get("token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise call.error(ServiceError, "the engine's answer to the sign-in has no token; check the address")
        permissions = granted.get("permissions")
        self._take(token, permissions, _lifetime_of(granted.get("expires_at"), token))
        self._renew_at = min(self._renew_at, asked_at + _USED * _LIFETIME)

    def _take(self, token: str, permissions: Any, lifetime: float) -> None:
        claims = _claims_of(token)
        told = permissions if isinstance(permissions, list) and permissions else claims.get("permissions")
        self.permissions = frozenset(each.upper() for each in told or () if isinstance(each, str))
        self._writable = claims.get("writable") is not False
        self._token = Secret(f"Bearer {token}")
        self._renew_at = monotonic() + _USED * lifetime


def _lifetime_of(expires_at: Any, token: str) -> float:
    """Returns the seconds that a token lives: as the engine tells it where that makes sense, else as requested.

    The engine's clock may be wrong, and older engines grant less than is requested without saying so.
    """
    claims = _claims_of(token)
    issued, expires = _seconds(claims.get("iat")), _seconds(claims.get("exp"))
    lifetimes = [expires - issued if issued and expires else 0.0]  # both by the engine's clock
    lifetimes += [told - time() for told in (_seconds(expires_at), expires) if told]
    return next((each for each in lifetimes if 0 < each <= _LIFETIME), _LIFETIME)


def _seconds(value: Any) -> float:
    """Returns a time in seconds since the epoch, also from milliseconds; 0 for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e16:
        return 0.0
    return value / 1000 if value > _MILLISECONDS else float(value)


def _claims_of(token: str) -> dict[str, Any]:
    """Returns the claims of a JWT, unverified; none where it is something else."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
