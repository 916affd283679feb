"""Who may use the test engine: the sign-in, tokens, rate limits, and answers of a proxy in front of it."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import math
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_hex, token_urlsafe
from time import time
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers.engine_answers import Answers, RefusalError
from tests.servers.engine_switches import Switches

__all__ = ["Access", "Handler", "Hook"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Hook = Callable[[int], bool]

_RIGHTS = ["ARTIFACT", "SHELL", "WORKFLOW", "RUNTIME", "AGENT"]
_PAGE = "<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class Access(Answers):
    """Signs in, and wraps each route in what comes before it.

    Args:
        root: the volume.
        switches: how it behaves; they may be changed while it runs.

    Attributes:
        requests: the methods and routes that were requested.
        signed_in: the number of sign-ins.
        key: the private key that is registered.
        before, after: called with the number of each request, before and after it is done; where they return True, the
            connection is closed without an answer.
        moments: called before and after each request.
        revoking: the requests of the kind of `token_revoked` after which a token is revoked.
    """

    def __init__(self, root: Path, switches: Switches) -> None:
        super().__init__(root, switches)
        self.requests: list[str] = []
        self.signed_in = 0
        self.key = _key()
        self.before: Hook | None = None
        self.after: Hook | None = None
        self.moments: Callable[[str], None] | None = None
        self.revoking = 3
        self._challenges: dict[str, tuple[str, float]] = {}
        self._tokens: dict[str, float] = {}
        self._used = 0
        self._slots = asyncio.Semaphore(2)
        self._limited = 0
        self._trusted = False

    def write_key(self, path: Path, *, pkcs8: bool = False) -> Path:
        """Writes the private key to a file."""
        form = serialization.PrivateFormat.PKCS8 if pkcs8 else serialization.PrivateFormat.TraditionalOpenSSL
        path.write_bytes(self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return path

    def revoke_tokens(self) -> None:
        """Makes every token invalid."""
        self._tokens.clear()

    def _revokes(self, kind: str) -> bool:
        """Revokes all tokens at every third request of the kind that the switch names; returns whether it did."""
        if self.switches.token_revoked != kind:
            return False
        self._used += 1
        if self._used % self.revoking:
            return False
        self.revoke_tokens()
        return True

    def _open(self, handler: Handler, kind: str = "") -> Handler:
        """Returns a route that needs no token. `kind` is that of `Switches.login_page`."""

        async def answer(request: web.Request) -> web.StreamResponse:
            self.requests.append(f"{request.method} {request.path}")
            number = len(self.requests)
            self._moment(f"before {self.requests[-1]}")
            if self.before is not None and self.before(number):
                return self._lost(request)
            response = await self._limited_answer(request, handler, kind)
            self._moment(f"after {self.requests[number - 1]}")
            if self.after is not None and self.after(number):
                return self._lost(request)
            if self.switches.transport == "close":
                response.force_close()
            return response

        return answer

    def _signed(self, handler: Handler, kind: str = "", *, writes: bool = False) -> Handler:
        """Returns a route that needs a token, and the permission to write where it `writes`."""

        async def check(request: web.Request) -> web.StreamResponse:
            if not self._trusted and self._tokens.get(self._token_of(request), 0.0) < time():
                raise RefusalError(401, "token is missing or expired")
            if self.switches.artifact_denied and kind:
                raise self._denied("ARTIFACT")
            if writes and self.switches.read_only:
                raise self._denied("READ_ONLY")
            return await handler(request)

        return self._open(check, kind)

    def _token_of(self, request: web.Request) -> str:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.switches.channels == "bearer_and_cookie":
            return request.cookies.get("authorization", token)
        if self.switches.channels == "query":
            return request.query.get("authorization", token)
        return token

    async def _limited_answer(self, request: web.Request, handler: Handler, kind: str) -> web.StreamResponse:
        """Answers, unless a proxy or a limit in front of the engine answers in its place."""
        switches = self.switches
        if switches.login_page == kind and kind:
            return web.Response(text=_PAGE, content_type="text/html")
        auth = "/api/auth/" in request.path
        if switches.rate_limit != "none" and (auth or switches.rate_limited == "all"):
            self._limited += 1
            # After a failure a write begins anew; a period could meet each attempt at the same place.
            fails = math.isqrt(8 * self._limited + 1) ** 2 == 8 * self._limited + 1  # 1, 3, 6, 10, 15, ...
            if fails if switches.rate_limit == "502" else self._limited % 3 == 1:
                if switches.rate_limit == "502":
                    return web.Response(status=502, text=_PAGE, content_type="text/html")
                told = {} if switches.rate_limit == "429_plain" else {"Retry-After": "0"}
                return web.Response(status=int(switches.rate_limit[:3]), headers=told)
        if switches.overload == "503" and self._slots.locked():
            return web.Response(status=503, text="too many requests at once")
        try:
            async with AsyncExitStack() as stack:
                if switches.at_once:
                    await stack.enter_async_context(self._slots)
                return await handler(request)
        except RefusalError as refusal:
            return self._refused(request, refusal)

    def _moment(self, what: str) -> None:
        if self.moments is not None:
            self.moments(what)

    async def _healthcheck(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, ["ok"])

    async def _challenge(self, request: web.Request) -> web.StreamResponse:
        identity = token_hex(8)
        texts = {"ascii": token_urlsafe(32), "non_ascii": f"{token_urlsafe(16)}ü€", "long": token_urlsafe(3000)}
        nonce = texts[self.switches.nonce]
        self._challenges[identity] = nonce, time() + self.switches.challenge_seconds
        entity = {
            "identity": identity,
            self.switches.nonce_key: nonce,
            "lifetime": self.switches.challenge_lifetime,
        }
        return await self._answer(request, [entity])

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        proof = await request.json()
        nonce, ends = self._challenges.get(proof["identity"], ("", 0.0))
        if not self.switches.challenge_reusable:
            self._challenges.pop(proof["identity"], None)
        try:
            if ends < time():
                raise RefusalError(401, "unknown challenge")
            signature = base64.b64decode(proof["signature"])
            self.key.public_key().verify(signature, nonce.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError) as error:
            raise RefusalError(401, "bad signature") from error
        self.signed_in += 1
        seconds = self.switches.token_seconds or float(str(proof.get("lifetime", "3600s")).removesuffix("s"))
        return await self._answer(request, [self._grant(seconds)])

    def _grant(self, seconds: float) -> dict[str, Any]:
        """Returns a new token, as the answer to a sign-in has it."""
        now, switches = time(), self.switches
        # Where no permissions are told, only the token says that it may not write.
        told = {"sub": "key", "writable": not (switches.read_only and switches.permissions == "absent")}
        claims = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
        token = f"{token_hex(8)}.{claims}.{token_hex(8)}"
        self._tokens[token] = now + seconds
        entity: dict[str, Any] = {"token": token}
        named = {"all": _RIGHTS, "master_alone": ["MASTER"], "with_master": ["MASTER", *_RIGHTS]}
        rights = named.get(switches.permissions)
        if rights is not None:
            entity["permissions"] = [*rights, "READ_ONLY"] if switches.read_only else rights
        ends = {"s": int(now + seconds), "ms": int((now + seconds) * 1000), "past": int(now - 600)}
        ends["future"] = int(now + seconds + 600)
        if switches.expires_at != "absent":
            entity["expires_at"] = ends[switches.expires_at]
        return entity

    async def _inspect(self, request: web.Request) -> web.StreamResponse:
        if self.switches.inspect == "missing":
            raise RefusalError(404, "no such route")
        if self.switches.inspect == "entity":
            return await self._answer(request, [{"authenticated": True, "permissions": _RIGHTS}])
        return web.Response(status=202)

    async def _parameter(self, request: web.Request) -> web.StreamResponse:
        served = {"artifact": ["artifact"], "object": ["object"], "both": ["object", "artifact"]}
        entity: dict[str, Any] = {"identity": "engine", "volume": str(self.root)}
        if self.switches.controllers_told:
            shells = [] if self.switches.shell == "absent" else ["shell"]
            entity["controllers"] = [*shells, *served[self.switches.generation]]
        return await self._answer(request, [entity])
