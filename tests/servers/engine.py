"""A small dxflow engine: sign-in and artifact storage over a directory, with switches for what is unknown of real ones.

The defaults follow the documentation: https://github.com/dxflow-ai/docs (04.api). No real engine can be run in tests.
"""

from __future__ import annotations

import asyncio
import base64
import fnmatch
import functools
import json
import os
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex, token_urlsafe
from time import time
from typing import Any
from urllib.parse import quote

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers.engine_switches import Switches

__all__ = ["EngineServer", "RefusalError"]

_RIGHTS = ["ARTIFACT", "SHELL", "WORKFLOW", "RUNTIME", "AGENT"]


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class RefusalError(Exception):
    """A failure that the engine reports."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class EngineServer:
    """An engine in this process.

    Args:
        root: the volume.
        switches: how it behaves; they may be changed while it runs.

    Attributes:
        requests: the methods and routes that were requested.
        key: the private key that is registered.
    """

    def __init__(self, root: Path, switches: Switches | None = None) -> None:
        self.root = root
        self.switches = Switches() if switches is None else switches
        self.requests: list[str] = []
        self.signed_in = 0
        self.key = _key()
        self.url = ""
        self._challenges: dict[str, str] = {}
        self._tokens: dict[str, float] = {}
        self._shares: dict[str, tuple[str, float, bool]] = {}
        self._slots = asyncio.Semaphore(2)
        self._ending = asyncio.Event()

    def write_key(self, path: Path, *, pkcs8: bool = False) -> Path:
        """Writes the private key to a file."""
        form = serialization.PrivateFormat.PKCS8 if pkcs8 else serialization.PrivateFormat.TraditionalOpenSSL
        path.write_bytes(self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return path

    def revoke_tokens(self) -> None:
        """Makes every token invalid."""
        self._tokens.clear()

    @asynccontextmanager
    async def serve(self, *, socket: Path | None = None, prefix: str = "") -> AsyncIterator[EngineServer]:
        """Serves it, while in it.

        Args:
            socket: the path of a Unix socket, over which no token is needed.
            prefix: of all paths, as behind a proxy.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        app = web.Application(client_max_size=1 << 40)
        self._trusted = socket is not None
        self._routes(app, prefix)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            if socket is not None:
                await web.UnixSite(runner, str(socket)).start()
                self.url = f"unix://{socket}"
            else:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                self.url = f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}"
            yield self
        finally:
            self._ending.set()
            await runner.cleanup()

    def _routes(self, app: web.Application, before: str) -> None:
        add = app.router.add_route
        add("GET", f"{before}/api/auth/challenge/", self._open(self._challenge))
        add("POST", f"{before}/api/auth/verify/", self._open(self._verify))
        add("GET", f"{before}/api/auth/inspect/", self._signed(self._inspect))
        add("GET", f"{before}/api/engine/healthcheck/", self._open(self._healthcheck))
        add("GET", f"{before}/api/engine/parameter/", self._signed(self._parameter))
        for prefix in self._prefixes():
            start = f"{before}{prefix}"
            add("GET", start, self._signed(self._list))
            add("POST", start, self._signed(self._create, writes=True))
            add("DELETE", start, self._signed(self._delete, writes=True))
            add("DELETE", f"{start}batch/", self._signed(self._batch, writes=True))
            add("PUT", f"{start}upload/", self._signed(self._upload, writes=True))
            add("GET", f"{start}download/", self._signed(self._download))
            add("PUT", f"{start}rename/", self._signed(self._rename, writes=True))
            add("PUT", f"{start}share/", self._signed(self._share, writes=True))
            add("GET", f"{start}presigned/download/", self._open(self._presigned_download))
            add("PUT", f"{start}presigned/upload/", self._open(self._presigned_upload))

    def _prefixes(self) -> list[str]:
        named = {"artifact": ["/api/artifact/"], "object": ["/api/object/fs/"]}
        return named.get(self.switches.generation, ["/api/artifact/", "/api/object/fs/"])

    # Access

    def _open(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.requests.append(f"{request.method} {request.path}")
            switches = self.switches
            if switches.rate_limit != "none":
                return web.Response(status=int(switches.rate_limit), headers={"Retry-After": "1"})
            try:
                if switches.queued:
                    async with self._slots:
                        response = await handler(request)
                else:
                    response = await handler(request)
            except RefusalError as refusal:
                response = self._refused(request, refusal)
            if switches.transport == "close":
                response.force_close()
            return response

        return answer

    def _signed(self, handler: Handler, *, writes: bool = False) -> Handler:
        async def check(request: web.Request) -> web.StreamResponse:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not self._trusted and self._tokens.get(token, 0.0) < time():
                raise RefusalError(401, "token is missing or expired")
            if writes and self.switches.read_only:
                raise self._denied("READ_ONLY")
            return await handler(request)

        return self._open(check)

    async def _healthcheck(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, ["ok"])

    async def _challenge(self, request: web.Request) -> web.StreamResponse:
        identity = token_hex(8)
        texts = {"ascii": token_urlsafe(32), "non_ascii": f"{token_urlsafe(16)}ü€", "long": token_urlsafe(3000)}
        nonce = self._challenges[identity] = texts[self.switches.nonce]
        entity = {
            "identity": identity,
            self.switches.nonce_key: nonce,
            "lifetime": self.switches.challenge_lifetime,
        }
        return await self._answer(request, [entity])

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        proof = await request.json()
        nonce = self._challenges.get(proof["identity"])
        if not self.switches.challenge_reusable:
            self._challenges.pop(proof["identity"], None)
        try:
            if nonce is None:
                raise RefusalError(401, "unknown challenge")
            signature = base64.b64decode(proof["signature"])
            self.key.public_key().verify(signature, nonce.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError) as error:
            raise RefusalError(401, "bad signature") from error
        self.signed_in += 1
        now, seconds = time(), self.switches.token_seconds
        claims = base64.urlsafe_b64encode(json.dumps({"sub": "key", "writable": True}).encode()).decode().rstrip("=")
        token = f"{token_hex(8)}.{claims}.{token_hex(8)}"
        self._tokens[token] = now + seconds
        entity: dict[str, Any] = {"token": token}
        rights = {"all": _RIGHTS, "master_alone": ["MASTER"]}.get(self.switches.permissions)
        if rights is not None:
            entity["permissions"] = [*rights, "READ_ONLY"] if self.switches.read_only else rights
        ends = {"s": int(now + seconds), "ms": int((now + seconds) * 1000), "past": int(now - 600)}
        ends["future"] = int(now + seconds + 600)
        if self.switches.expires_at != "absent":
            entity["expires_at"] = ends[self.switches.expires_at]
        return await self._answer(request, [entity])

    async def _inspect(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=202)

    async def _parameter(self, request: web.Request) -> web.StreamResponse:
        served = {"artifact": ["artifact"], "object": ["object"], "both": ["object", "artifact"]}
        entity: dict[str, Any] = {"identity": "engine", "volume": str(self.root)}
        if self.switches.controllers_told:
            entity["controllers"] = ["shell", *served[self.switches.generation]]
        return await self._answer(request, [entity])

    # Storage

    async def _list(self, request: web.Request) -> web.StreamResponse:
        query, switches = request.query, self.switches
        directory = self._path(query.get("directory", "."))
        if not directory.is_dir():
            return await self._answer(request, self._instead(directory, query.get("directory", "")), total=0)
        paths = self._names(directory, hidden=query.get("all") == "true", pattern=query.get("pattern"))
        every = len(paths)
        if switches.paging != "ignored":
            offset, limit = int(query.get("offset", "0")), int(query.get("limit", "-1"))
            paths = paths[offset:] if limit < 0 else paths[offset : offset + limit]
            paths = paths[:500] if switches.paging == "capped" else paths
        entities = [self._entity(path) for path in paths]
        if switches.list_self and "pattern" not in query:
            entities.insert(0, self._entity(directory))
        total = every + len(entities) - len(paths) if switches.list_total == "all" else len(entities)
        return await self._answer(request, entities, total=total)

    def _instead(self, path: Path, identity: str) -> list[Any]:
        """What the listing of something that is no directory has."""
        kind = self.switches.list_file if path.is_file() else self.switches.list_missing
        if kind == "missing":
            raise self._missing(identity)
        return [self._entity(path)] if kind == "itself" else []

    def _names(self, directory: Path, *, hidden: bool, pattern: str | None) -> list[Path]:
        kind = self.switches.list_hidden
        paths = sorted(directory.iterdir(), key=lambda path: os.fsencode(path.name))
        if self.switches.list_order == "changing":
            random.shuffle(paths)
        if kind == "never" or (kind == "by_all" and not hidden):
            paths = [path for path in paths if not path.name.startswith(".")]
        return [path for path in paths if self._matches(path, pattern)]

    def _matches(self, path: Path, pattern: str | None) -> bool:
        kind = self.switches.pattern
        if pattern is None or kind == "ignored":
            return True
        if kind == "path":
            return fnmatch.fnmatchcase(str(path.relative_to(self.root)), pattern)
        if kind == "case_blind":
            return fnmatch.fnmatchcase(path.name.lower(), pattern.lower())
        return fnmatch.fnmatchcase(path.name, pattern)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        path = self._path(document["identity"])
        if path.exists():
            if self.switches.create_existing == "entity" and path.is_dir() and document.get("directory"):
                return await self._answer(request, [self._entity(path)])
            raise self._exists(document["identity"])
        if not path.parent.is_dir():
            if not self.switches.create_parents:
                raise self._missing(document["identity"])
            path.parent.mkdir(parents=True)
        path.mkdir() if document.get("directory") else path.write_bytes(b"")
        return await self._answer(request, [self._entity(path)])

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        return await self._take(request, query["identity"], force=query.get("force") == "true")

    async def _take(self, request: web.Request, identity: str, *, force: bool) -> web.StreamResponse:
        switches, path = self.switches, self._path(identity)
        self._check_upload(request, identity, path, force=force)
        target = path if switches.upload_write == "in_place" else path.with_name(f".upload-{token_hex(4)}")
        size = 0
        try:
            with target.open("wb") as file:
                async for piece in request.content.iter_chunked(1 << 16):
                    size += len(piece)
                    file.write(piece)
        except BaseException:
            if switches.upload_broken == "removed" or target != path:
                target.unlink(missing_ok=True)
            raise
        if switches.upload_stores_half:
            os.truncate(target, size // 2)
        if switches.upload_answer == "late":
            hidden = self.root.parent / f"late-{token_hex(4)}"
            target.replace(hidden)
            asyncio.get_running_loop().call_later(0.2, lambda: hidden.exists() and hidden.replace(path))
            return await self._answer(request, [])
        target.replace(path)
        if switches.upload_answer == "envelope":
            return await self._answer(request, [])
        if switches.upload_answer == "created":
            return await self._answer(request, [self._entity(path)], code=201)
        return web.Response(status=204 if switches.upload_answer == "no_content" else 200)

    def _check_upload(self, request: web.Request, identity: str, path: Path, *, force: bool) -> None:
        switches = self.switches
        if request.content_length is None:
            raise RefusalError(411, "a length is required")
        if switches.upload_limit and request.content_length > switches.upload_limit:
            raise RefusalError(413, "too large")
        if switches.upload_dot_names == "refused" and path.name.startswith("."):
            raise RefusalError(400, "invalid name")
        if path.is_dir() or (path.exists() and (not force or switches.upload_force == "refused")):
            raise self._exists(identity)
        if not path.parent.is_dir():
            if switches.upload_parents == "missing":
                raise self._missing(identity)
            path.parent.mkdir(parents=True)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        return await self._give(request, request.query["identity"])

    async def _give(self, request: web.Request, identity: str) -> web.StreamResponse:
        switches, path = self.switches, self._path(identity)
        if not path.is_file():
            missing = self._missing(identity) if not path.is_dir() else RefusalError(400, "it is a directory")
            if switches.download_error == "envelope":
                return web.json_response([self._chunk("status", {"code": missing.code, "message": str(missing)})])
            raise missing
        data = path.read_bytes()
        headers = {"Content-Type": "application/octet-stream"}
        if switches.download_headers != "none":
            headers["Content-Disposition"] = f'attachment; filename="{quote(path.name)}"'
        if switches.download_headers == "validators":
            headers["ETag"] = f'"{len(data)}"'
        status, span = 200, request.http_range
        if (span.start is not None or span.stop is not None) and switches.download_range != "ignored":
            if switches.download_range == "416":
                return web.Response(status=416)
            start, stop = span.start or 0, min(span.stop or len(data), len(data))
            if switches.download_range_wrong:
                start, stop = start + 1, stop + 1
            status, headers["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{len(data)}"
            data = data[start:stop]
        response = web.StreamResponse(status=status, headers=headers)
        if switches.download_length == "chunked":
            response.enable_chunked_encoding()
        else:
            response.content_length = len(data)
        await response.prepare(request)
        if switches.download_shorter:
            await response.write(data[: len(data) // 2])
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write(data)
        await response.write_eof()
        return response

    async def _rename(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        old, new = self._path(document["identity"]), self._path(document["new_identity"])
        if not old.exists():
            raise self._missing(document["identity"])
        if new.exists():
            if self.switches.rename_exists == "refused":
                raise self._exists(document["new_identity"])
            if self.switches.rename_exists == "nothing":
                return await self._answer(request, [document])
        if not new.parent.is_dir():
            if self.switches.rename_parents == "missing":
                raise self._missing(document["new_identity"])
            new.parent.mkdir(parents=True)
        old.replace(new)
        return await self._answer(request, [document])

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        identity = request.query["identity"]
        self._remove(identity)
        return await self._answer(request, [{"identity": identity}])

    def _remove(self, identity: str) -> None:
        path = self._path(identity)
        if path == self.root:
            raise RefusalError(400, "the volume stays")
        if path.is_dir() and not path.is_symlink():
            if self.switches.delete_filled == "refused" and any(path.iterdir()):
                raise RefusalError(400, "directory not empty")
            shutil.rmtree(path)
        elif path.exists() or path.is_symlink():
            path.unlink()
        elif self.switches.delete_missing == "missing":
            raise self._missing(identity)

    async def _batch(self, request: web.Request) -> web.StreamResponse:
        if self.switches.batch == "refused":
            raise RefusalError(400, "identities are required")
        entities = []
        identities = (await request.json())["identities"]
        for identity in identities[: len(identities) // 2] if self.switches.batch == "partial" else identities:
            entity = (
                {"identity": identity} if self.switches.batch == "error_absent" else {"identity": identity, "error": ""}
            )
            try:
                self._remove(identity)
            except RefusalError as refusal:
                entity["error"] = str(refusal)
            entities.append(entity)
        return await self._answer(request, entities)

    async def _share(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        entities = []
        for identity in document["identities"]:
            if not self._path(identity).is_file():
                raise self._missing(identity)
            signature = token_urlsafe(16) + ("+/=&%" if self.switches.share_signature == "escaped" else "")
            ends = time() + float(document["lifetime"].removesuffix("s"))
            self._shares[signature] = (identity, ends, bool(document.get("writable")))
            entities.append({"identity": identity, "signature": signature, "expires_at": int(ends)})
        return await self._answer(request, entities)

    async def _presigned_download(self, request: web.Request) -> web.StreamResponse:
        identity, ends, writable = self._shares.get(request.query["signature"], ("", 0.0, False))
        if ends < time() or writable:
            raise RefusalError(401, "the link has expired")
        return await self._give(request, identity)

    async def _presigned_upload(self, request: web.Request) -> web.StreamResponse:
        identity, ends, writable = self._shares.get(request.query["signature"], ("", 0.0, False))
        if ends < time() or not writable:
            raise RefusalError(401, "the link has expired")
        return await self._take(request, identity, force=True)

    # Answers

    def _path(self, identity: str) -> Path:
        parts = [each for each in identity.split("/") if each not in ("", ".")]
        if ".." in parts:
            raise RefusalError(400, "the path leads out of the volume")
        return self.root.joinpath(*parts)

    def _entity(self, path: Path) -> dict[str, Any]:
        status, switches = path.lstat(), self.switches
        name = "." if path == self.root else path.name
        relative = "" if path == self.root else str(path.relative_to(self.root))
        forms = {"a/b": relative, "./a/b": f"./{relative}", "/a/b": f"/{relative}", "absolute": str(path)}
        moment: Any = int(status.st_mtime)
        moments = {"ms": moment * 1000, "ns": moment * 10**9, "text": datetime.fromtimestamp(moment, UTC).isoformat()}
        size = switches.directory_size if path.is_dir() and not path.is_symlink() else status.st_size
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
        kind = link if path.is_symlink() else "d" if path.is_dir() else "-" if path.is_file() else "p"
        return f"{kind}{sticky}{bits}"

    def _chunk(self, kind: str, payload: Any) -> dict[str, Any]:
        return {self.switches.kind_key: kind, "payload": payload}

    async def _answer(
        self, request: web.Request, entities: list[Any], *, total: int | None = None, code: int = 200
    ) -> web.StreamResponse:
        switches = self.switches
        chunks = [self._chunk("status", {"code": code, "message": "OK"})]
        if total is not None and switches.total != "absent":
            chunks.append(self._chunk("total", total if switches.total == "bare" else {"value": total}))
        chunks += [self._chunk("entity", entity) for entity in entities]
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
        status = refusal.code if switches.error_http == "code" or refusal.code in (401, 411, 413) else 200
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


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
