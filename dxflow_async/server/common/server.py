"""Listening: only on a loopback address unless it is encrypted, and stopping without interrupting requests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from dxflow_async.config.validation import key_for_path
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import holds_key
from dxflow_async.server.common.addresses import ADDRESSES, Addresses, is_loopback, parse_host, parse_network
from dxflow_async.server.common.connections import IDLE_SECONDS, Runner
from dxflow_async.server.common.middleware import ACTIVITY

__all__ = ["DRAIN_SECONDS", "Listening", "Server"]

DRAIN_SECONDS = 30.0
"""Seconds that requests in progress are given when the server stops."""

# Connections may come faster than they are accepted. A client whose connection is dropped waits one second, then three.
_BACKLOG = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a server listens.

    Attributes:
        host: an address or a name of this machine.
        port: 0 for any free port.
        tls_cert, tls_key: PEM files of the certificate with its chain, and of its key; both or neither.
        insecure_http: allow addresses that other machines reach without TLS. Secrets and bytes pass in clear text.
        allow_hosts: names to answer for. On a loopback address, requests for other names than these and the address's
            own are refused; on any other address, they are refused only if such names are given.
        trusted_proxies: addresses and networks whose `X-Forwarded-For`, `-Proto` and `-Host` are believed.

    Raises:
        ConfigurationError: a value is invalid; the message names it.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure_http: bool = False
    allow_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("tls_cert", "tls_key"):
            if holds_key(str(getattr(self, name) or "")):
                raise ConfigurationError(key_for_path(name))
        for host in self.allow_hosts:
            if parse_host(host) is None:
                raise ConfigurationError(f"allow host = {host!r} is not allowed; it must be a name such as example.org")
        if not 0 <= self.port < 1 << 16:
            raise ConfigurationError(f"port = {self.port} is not allowed; it must be 0 to 65535")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigurationError("tls_cert and tls_key go together: give both or neither")
        if not (self.tls_cert or self.insecure_http or is_loopback(self.host)):
            raise ConfigurationError(
                f"host = {self.host!r} can be reached from other machines, and without TLS secrets pass in clear text: "
                "give tls_cert and tls_key, or --insecure-http behind a proxy that encrypts"
            )

    def addresses(self) -> Addresses:
        """Returns the hosts to answer for and the trusted proxies.

        Raises:
            ConfigurationError: a trusted proxy is not an address.
        """
        hosts = {host for text in (*self.allow_hosts, self.host) if (host := parse_host(text)) is not None}
        checked = is_loopback(self.host) or self.allow_hosts
        return Addresses(hosts if checked else None, [parse_network(text) for text in self.trusted_proxies])

    def tls(self) -> ssl.SSLContext | None:
        """Returns the TLS context; None without TLS. Blocks.

        Raises:
            ConfigurationError: the files are not a certificate and its key.
        """
        if self.tls_cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"tls_cert = {str(self.tls_cert)!r} cannot be used: {error}") from error
        return context


class Server:
    """An application that listens.

    Args:
        app: the application. It counts its requests under `ACTIVITY`.
        listening: where it listens.
        options: options of its connections, as `web.AppRunner` takes them.
    """

    def __init__(self, app: web.Application, listening: Listening, options: Mapping[str, Any] | None = None) -> None:
        self._app = app
        self._listening = listening
        app[ADDRESSES] = listening.addresses()
        given = {"keepalive_timeout": IDLE_SECONDS, **(options or {})}
        self._runner = Runner(app, access_log=None, shutdown_timeout=1.0, **given)
        self._scheme = "http"

    async def start(self) -> str:
        """Starts to listen, and returns the base URL.

        Raises:
            ConfigurationError: the address is not available, or the application cannot start.
        """
        try:
            await self._runner.setup()
            await self._listen()
        except BaseException:
            await self._runner.cleanup()
            raise
        return f"{self._scheme}://{self.address}"

    @property
    def address(self) -> str:
        """`host:port`, as in a URL."""
        host, port = self._runner.addresses[0][:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def aclose(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Stops listening, gives requests in progress `drain_seconds` to end, and then closes all connections."""
        for site in list(self._runner.sites):
            await site.stop()
        await self._app[ACTIVITY].drain(drain_seconds)
        await self._runner.cleanup()

    async def _listen(self) -> None:
        context = await asyncio.to_thread(self._listening.tls)
        self._scheme = "https" if context else "http"
        host, port = self._listening.host, self._listening.port
        try:
            await web.TCPSite(self._runner, host, port, ssl_context=context, backlog=_BACKLOG).start()
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
