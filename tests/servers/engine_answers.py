"""What the test engine answers: envelopes, entities of listings, and refusals."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import shutil
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.servers.engine_switches import Switches

__all__ = ["Answers", "RefusalError"]


class RefusalError(Exception):
    """A failure that the engine reports."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Answers:
    """Makes the answers of an engine.

    Args:
        root: the volume.
        switches: how it behaves; they may be changed while it runs.
    """

    def __init__(self, root: Path, switches: Switches) -> None:
        self.root = root
        self.switches = switches
        self._ending = asyncio.Event()

    def _entity(self, path: Path) -> dict[str, Any]:
        status, switches = path.lstat(), self.switches
        if path.is_symlink() and switches.symlinks == "followed":
            with suppress(OSError):
                status = path.stat()
        name = "." if path == self.root else _unicode(path.name)
        if switches.unicode_form == "decomposed":
            name = unicodedata.normalize("NFD", name)
        relative = "" if path == self.root else _unicode(str(path.relative_to(self.root)))
        forms = {"a/b": relative, "./a/b": f"./{relative}", "/a/b": f"/{relative}", "absolute": str(path)}
        moment: Any = int(status.st_mtime)
        moments = {"ms": moment * 1000, "ns": moment * 10**9, "text": datetime.fromtimestamp(moment, UTC).isoformat()}
        size = self._directory_size(path) if self._is_directory(path) else status.st_size
        return {
            "identity": forms[switches.identity_form],
            "name": name,
            "permission": self._permission(path, status.st_mode),
            "size": size,
            "modified_at": moments.get(switches.time, moment),
        }

    def _permission(self, path: Path, mode: int) -> str:
        if self.switches.permission == "octal":
            return f"{mode:o}"
        bits = "".join(letter if mode >> 8 - number & 1 else "-" for number, letter in enumerate("rwxrwxrwx"))
        link = "L" if self.switches.permission == "go" else "l"
        sticky = "t" if self.switches.permission == "go" and mode & 0o1000 else ""
        is_link = path.is_symlink() and not (self.switches.symlinks == "followed" and path.exists())
        kind = link if is_link else "d" if path.is_dir() else "-" if path.is_file() else "p"
        return f"{kind}{sticky}{bits}"

    def _is_directory(self, path: Path) -> bool:
        return path.is_dir() and (not path.is_symlink() or self.switches.symlinks == "followed")

    def _directory_size(self, path: Path) -> int:
        if self.switches.directory_size >= 0:
            return self.switches.directory_size
        return sum(each.lstat().st_size for each in path.iterdir() if each.is_file())

    def _matches(self, path: Path, pattern: str | None) -> bool:
        kind = self.switches.pattern
        if pattern is None or kind == "ignored":
            return True
        if kind == "path":
            return fnmatch.fnmatchcase(str(path.relative_to(self.root)), pattern)
        if kind == "case_blind":
            return fnmatch.fnmatchcase(path.name.lower(), pattern.lower())
        return fnmatch.fnmatchcase(path.name, pattern)

    def _chunk(self, kind: str, payload: Any) -> dict[str, Any]:
        return {self.switches.kind_key: kind, "payload": payload}

    async def _answer(
        self,
        request: web.Request,
        entities: list[Any],
        *,
        total: int | None = None,
        code: int = 200,
        late: tuple[int, str] | None = None,
    ) -> web.StreamResponse:
        switches = self.switches
        chunks = [self._chunk("status", {"code": code, "message": "OK"})]
        if total is not None and switches.total != "absent":
            chunks.append(self._chunk("total", total if switches.total == "bare" else {"value": total}))
        chunks += [self._chunk("entity", entity) for entity in entities]
        if late is not None:
            chunks.append(self._chunk("status", {"code": late[0], "message": late[1]}))
        if "stream" not in request.headers.get("Accept", ""):
            return web.Response(status=code, body=json.dumps(chunks).encode(), content_type="application/json")
        return await self._stream(request, [json.dumps(chunk, ensure_ascii=False) for chunk in chunks], code)

    async def _stream(self, request: web.Request, chunks: list[str], code: int) -> web.StreamResponse:
        switches = self.switches
        response = web.StreamResponse(status=code, headers={"Content-Type": "application/stream+json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if switches.framing == "ndjson":
            text = "".join(f"{chunk}\n" for chunk in chunks)
        elif switches.framing == "one_line":
            text = f"[{','.join(chunks)}]"
        else:
            text = "[\n" + "\n,".join(chunks) + "\n]\n"
        if switches.stream_end != "bracket":
            text = "[\n" + "\n,".join(chunks[: max(1, len(chunks) - 1)]) + "\n"
        if switches.stream_end == "late_500":
            late = json.dumps(self._chunk("status", {"code": 500, "message": "disk failed"}))
            text = f"{text},{late}\n]"
        data = text.encode()
        step = {"split": 7, "bytes": 1}.get(switches.framing, 1 << 16)
        for start in range(0, len(data), step):
            await response.write(data[start : start + step])
        assert request.transport is not None
        if switches.stream_end == "reset":
            request.transport.abort()
        elif switches.stream_end == "silence":
            await self._ending.wait()
        await response.write_eof()
        return response

    def _refused(self, request: web.Request, refusal: RefusalError) -> web.StreamResponse:
        switches, message = self.switches, str(refusal)
        request.protocol.keep_alive(False)  # a body may be unread
        told = switches.error_http == "code" or "/presigned/" in request.path  # programs open these without a client
        status = refusal.code if told else 200
        status_chunk = [self._chunk("status", {"code": refusal.code, "message": message})]
        if switches.error_body == "envelope" or status == 200:
            return web.json_response(status_chunk, status=status)
        if switches.error_body == "header":
            return web.Response(status=status, headers={"x-error-message": message})
        if switches.error_body == "object":
            return web.json_response({"message": message}, status=status)
        return web.Response(status=status, text=message)

    def _missing(self, identity: str) -> RefusalError:
        return RefusalError(self.switches.error_code_missing, f"no such artifact: {identity}")

    def _exists(self, identity: str) -> RefusalError:
        return RefusalError(self.switches.error_code_exists, f"artifact already exists: {identity}")

    def _denied(self, right: str) -> RefusalError:
        return RefusalError(self.switches.error_code_denied, f"permission denied: {right}")

    def _check_owner(self, path: Path) -> None:
        """Refuses to change what a workflow's container has written as root: everything below `theirs`."""
        if self.switches.ownership == "some_of_root" and self.root / "theirs" in (path, *path.parents):
            raise self._denied("the owner is root")

    def _path(self, identity: str) -> Path:
        parts = [each for each in identity.split("/") if each not in ("", ".")]
        if ".." in parts:
            raise RefusalError(400, "the path leads out of the volume")
        return self.root.joinpath(*parts)

    def _remove_path(self, path: Path) -> bool:
        """Removes a file, a link or a directory with its content; returns whether there was one."""
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            return False
        return True

    def _lost(self, request: web.Request) -> web.Response:
        """Closes the connection; the answer is never sent."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def _unicode(name: str) -> str:
    """Returns a name as Go writes it in JSON: bytes that are not valid UTF-8 become U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
