"""proxy.py: an HTTP proxy in a process of its own, plain or over TLS, with or without a password."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import Self

from tests.servers.certificate import make_certificate
from tests.servers.process import Process, free_port, program

__all__ = ["ProxyServer"]


class ProxyServer:
    """A running proxy.

    Attributes:
        url: its URL, without credentials.
        authority: the PEM file to trust for its certificate; None without TLS.

    Example:
        with ProxyServer.start(tmp_path, credentials="me:secret", tls=True) as proxy:
            os.environ["HTTPS_PROXY"] = proxy.url_with("me:secret")
    """

    def __init__(self, process: Process, log: Path, port: int, authority: Path | None) -> None:
        self.url = f"{'http' if authority is None else 'https'}://127.0.0.1:{port}"
        self.authority = authority
        self._process = process
        self._log = log
        self._port = port

    @classmethod
    def start(cls, directory: Path, *, credentials: str = "", tls: bool = False) -> Self:
        """Starts a proxy that keeps its log in `directory`, and waits until it listens.

        Args:
            directory: an existing directory.
            credentials: `user:password` that every client must send; empty for none.
            tls: whether the proxy itself is reached over TLS.

        Raises:
            FileNotFoundError: the program is not installed.
            ServerStartError: it does not start.
        """
        port, log = free_port(), directory / "proxy.log"
        command = [program("proxy"), "--hostname", "127.0.0.1", "--port", str(port)]
        command += ["--num-workers", "1", "--num-acceptors", "1", "--timeout", "60"]
        authority: Path | None = None
        if credentials:
            command += ["--basic-auth", credentials]
        if tls:
            certificate, key, authority = make_certificate(directory, "The proxy's authority")
            command += ["--cert-file", str(certificate), "--key-file", str(key)]
        server = cls(Process(command, log), log, port, authority)
        try:
            server._process.wait_until(server._listens)
        except BaseException:
            server.stop()
            raise
        return server

    def url_with(self, credentials: str) -> str:
        """The proxy's URL with credentials, escaped by the caller."""
        return self.url.replace("://", f"://{credentials}@")

    def saw(self, method: str, host: str, *, timeout: float = 10.0) -> bool:
        """Whether a connection that has ended carried such a request; `host` may have a port."""
        pattern = re.compile(rf" - {method} {re.escape(host)}\b")
        deadline = time.monotonic() + timeout
        while not (found := pattern.search(self._log.read_text("utf-8", "replace"))) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found is not None

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
