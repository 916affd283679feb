"""A small Google Cloud Storage in a thread of this process, with one object, for tests about sessions and loops."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from dxflow_async import GCPSettings
from dxflow_async.checksum import crc32c, encode

__all__ = ["CONTENT", "OneBucketServer"]

CONTENT = b"bytes" * 200_000


class OneBucketServer:
    """Answers on 127.0.0.1 until the end of its `with` block.

    Args:
        delay: seconds before each answer to a read.

    Attributes:
        open: how many connections are open now.
        accepted: how many were made.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.open = self.accepted = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, delay))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def settings(self) -> GCPSettings:
        """Settings that lead here."""
        return GCPSettings(endpoint=f"http://127.0.0.1:{self._server.server_port}")

    def count(self, change: int) -> None:
        """Notes that a connection was made (1) or has ended (-1)."""
        with self._lock:
            self.open += change
            self.accepted += change > 0

    def wait_until_closed(self, most: int = 0) -> int:
        """Waits until at most so many connections are open, for five seconds; returns how many are."""
        deadline = time.monotonic() + 5
        while self.open > most and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.open

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(server: OneBucketServer, delay: float) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            server.count(1)
            try:
                super().handle()
            except ConnectionError:
                pass
            finally:
                server.count(-1)

        def do_GET(self) -> None:
            if self.path.startswith("/download/"):
                time.sleep(delay)
                hashed = {"X-Goog-Generation": "1", "X-Goog-Hash": f"crc32c={encode(crc32c(CONTENT))}"}
                self._answer(CONTENT, hashed)
            else:
                names = [{"name": f"x{number}", "size": "3", "generation": "1"} for number in range(3)]
                self._answer({"kind": "storage#objects", "items": names})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self._answer({"name": "f", "size": str(len(body)), "generation": "2"})

        def _answer(self, body: Any, headers: dict[str, str] | None = None) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(200)
            for name, value in {**(headers or {}), "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    return Handler
