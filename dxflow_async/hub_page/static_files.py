"""The page's own files: HTML, CSS and JavaScript, which are in the package and small enough to keep in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from dxflow_async.server.common.middleware import refusal

__all__ = ["StaticFiles"]

DIRECTORY = Path(__file__).parent / "static"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    type: str
    etag: str


class StaticFiles:
    """The files, read once. Browsers ask each time whether one has changed, and get its content only then.

    Args:
        directory: the directory of the files. Files of other types than those of web pages are left out.
    """

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._directory = directory
        self._files: dict[str, _File] = {}

    def load(self) -> None:
        """Reads the files. Blocks."""
        for path in sorted(self._directory.rglob("*")):
            if path.suffix in _TYPES and path.is_file():
                content = path.read_bytes()
                etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
                self._files[path.relative_to(self._directory).as_posix()] = _File(content, _TYPES[path.suffix], etag)

    def answer(self, request: web.Request, name: str) -> web.Response:
        """Returns a file as an answer.

        Raises:
            HTTPNotFound: there is no such file.
        """
        file = self._files.get(name)
        if file is None:
            raise refusal(web.HTTPNotFound, "not_found", "the page has no such file")
        headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
        if file.etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.content, headers={**headers, "Content-Type": file.type})
