"""A small dxflow engine: sign-in and artifact storage over a directory, with switches for what is unknown of real ones.

The defaults follow the documentation: https://github.com/dxflow-ai/docs (04.api). No real engine can be run in tests.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import gzip
import json
import os
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex, token_urlsafe
from time import time
from typing import Any
from urllib.parse import quote

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers.engine_answers import Answers, RefusalError
from tests.servers.engine_switches import Switches

__all__ = ["EngineServer", "RefusalError"]

_RIGHTS = ["ARTIFACT", "SHELL", "WORKFLOW", "RUNTIME", "AGENT"]


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class EngineServer(Answers):
    """An engine in this process.

    Args:
        root: the volume.
        switches: how it behaves; they may be changed while it runs.

    Attributes:
        requests: the methods and routes that were requested.
        key: the private key that is registered.
        before, after: called with the number of each request to the storage, before and after it is done; where they
            return True, the connection is closed without an answer.
        breaks_copies: whether a rename that copies ends in its middle.
    """

    def __init__(self, root: Path, switches: Switches | None = None) -> None:
        super().__init__(root, Switches() if switches is None else switches)
        self.requests: list[str] = []
        self.signed_in = 0
        self.key = _key()
        self.url = ""
        self._challenges: dict[str, str] = {}
        self._tokens: dict[str, float] = {}
        self._shares: dict[str, tuple[str, float, bool]] = {}
        self._slots = asyncio.Semaphore(2)
        self.before: Hook | None = None
        self.after: Hook | None = None
        self.breaks_copies = False

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
            number = len(self.requests)
            if self.before is not None and self.before(number):
                return self._lost(request)
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
            if self.after is not None and self.after(number):
                return self._lost(request)
            if switches.transport == "close":
                response.force_close()
            return response

        return answer

    def _signed(self, handler: Handler, *, writes: bool = False) -> Handler:
        async def check(request: web.Request) -> web.StreamResponse:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if self.switches.channels == "bearer_and_cookie":
                token = request.cookies.get("authorization", token)
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
        if self.switches.inspect == "missing":
            raise RefusalError(404, "no such route")
        if self.switches.inspect == "entity":
            return await self._answer(request, [{"authenticated": True, "permissions": _RIGHTS}])
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
        if switches.root == "dot_refused" and query.get("directory") == ".":
            raise RefusalError(400, "invalid directory")
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
        total += 3 if switches.list_total_wrong else 0
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

    async def _create(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        path = self._path(document["identity"])
        self._check_owner(path)
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
        if switches.upload_no_extension == "directory" and not path.suffix:
            path = path / "upload"
        await self._permit_upload(request, identity, path, force=force)
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
            asyncio.get_running_loop().call_later(0.05, lambda: hidden.exists() and hidden.replace(path))
            return await self._answer(request, [])
        target.replace(path)
        return await self._stored(request, path)

    async def _stored(self, request: web.Request, path: Path) -> web.StreamResponse:
        switches = self.switches
        if switches.upload_answer == "envelope":
            return await self._answer(request, [])
        if switches.upload_answer == "created":
            return await self._answer(request, [self._entity(path)], code=201)
        return web.Response(status=204 if switches.upload_answer == "no_content" else 200)

    async def _permit_upload(self, request: web.Request, identity: str, path: Path, *, force: bool) -> None:
        try:
            self._check_upload(request, identity, path, force=force)
        except RefusalError:
            if self.switches.upload_refusal == "after_body":
                async for _ in request.content.iter_chunked(1 << 16):
                    pass
            raise

    def _check_upload(self, request: web.Request, identity: str, path: Path, *, force: bool) -> None:
        switches = self.switches
        self._check_owner(path)
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

    def _no_file(self, path: Path, identity: str) -> web.StreamResponse:
        """The answer to the download of something else than a file."""
        switches = self.switches
        if path.is_dir() and switches.download_directory == "archive":
            return web.Response(body=b"PK" + bytes(1000), headers={"Content-Disposition": 'filename="d.zip"'})
        missing = self._missing(identity) if not path.is_dir() else RefusalError(400, "it is a directory")
        if switches.download_error == "envelope":
            return web.json_response([self._chunk("status", {"code": missing.code, "message": str(missing)})])
        raise missing

    async def _give(self, request: web.Request, identity: str) -> web.StreamResponse:
        switches, path = self.switches, self._path(identity)
        if not path.is_file():
            return self._no_file(path, identity)
        data = path.read_bytes()
        headers = {"Content-Type": "application/octet-stream"}
        if switches.download_headers != "none":
            headers["Content-Disposition"] = f'attachment; filename="{quote(path.name)}"'
        if switches.download_headers == "validators":
            headers["ETag"] = f'"{len(data)}"'
        if switches.download_encoding != "identity" and "gzip" in request.headers.get("Accept-Encoding", ""):
            data, headers["Content-Encoding"] = gzip.compress(data), "gzip"
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
        self._check_owner(old)
        self._check_owner(new)
        if not old.exists():
            raise self._missing(document["identity"])
        if new.is_dir():
            if self.switches.rename_onto_directory == "refused":
                raise self._exists(document["new_identity"])
            new = new / old.name
        if new.exists():
            if self.switches.rename_exists == "refused":
                raise self._exists(document["new_identity"])
            if self.switches.rename_exists == "nothing":
                return await self._answer(request, [document])
        if not new.parent.is_dir():
            if self.switches.rename_parents == "missing":
                raise self._missing(document["new_identity"])
            new.parent.mkdir(parents=True)
        if self.switches.rename_how == "copied" and old.is_file():
            await self._copy(old, new)
        else:
            old.replace(new)
        return await self._answer(request, [document])

    async def _copy(self, old: Path, new: Path) -> None:
        data = old.read_bytes()  # noqa: ASYNC240 - files are small
        with new.open("wb") as file:
            for start in range(0, len(data), max(1, len(data) // 2)):
                file.write(data[start : start + max(1, len(data) // 2)])
                file.flush()
                await asyncio.sleep(0)
                if self.breaks_copies:
                    raise RefusalError(500, "input/output error")
        old.unlink()  # noqa: ASYNC240

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        identity = request.query.get("identity", "")
        if self.switches.delete_identity == "body":
            document = await request.json() if request.can_read_body else {}
            identity = document.get("identity", "")
        self._remove(identity)
        return await self._answer(request, [{"identity": identity}])

    def _remove(self, identity: str) -> None:
        path = self._path(identity)
        if path == self.root:
            if self.switches.delete_volume == "refused":
                raise RefusalError(400, "the volume stays")
            shutil.rmtree(path)
            path.mkdir()
            return
        self._check_owner(path)
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
        identities = (await request.json())["identities"] if self.switches.batch != "body_dropped" else []
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

    def _check_owner(self, path: Path) -> None:
        """Refuses to change what a workflow's container has written as root: everything below `theirs`."""
        if self.switches.ownership == "some_of_root" and self.root / "theirs" in (path, *path.parents):
            raise self._denied("the owner is root")

    def _path(self, identity: str) -> Path:
        parts = [each for each in identity.split("/") if each not in ("", ".")]
        if ".." in parts:
            raise RefusalError(400, "the path leads out of the volume")
        return self.root.joinpath(*parts)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Hook = Callable[[int], bool]
