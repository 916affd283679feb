"""Google Cloud Storage's uploads, tokens, signed URLs and listings as documented, which no emulator does: in here.

It refuses wrong checksums, generations, tokens and signatures, keeps what a broken upload has sent in whole 256 KiB,
and does on request what goes wrong.
Source: https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlencode

import jwt
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from multidict import CIMultiDict

from dxflow_async.checksum import crc32c, encode

__all__ = ["Fault", "ResumableServer", "Stored", "private_key"]

GRANULE = 256 << 10

_CONDITION = "ifGenerationMatch"

EMAIL = "science@project-one.iam.gserviceaccount.com"


_HEADERS = {
    "Content-Type": "contentType",
    "Cache-Control": "cacheControl",
    "Content-Disposition": "contentDisposition",
    "Content-Language": "contentLanguage",
}
"""The headers of a download, and the fields of the resource that they report."""


@dataclass(frozen=True)
class Fault:
    """What becomes of the next bytes that are sent to a session, once `size` of them have come.

    cut: the connection ends. throttle, fail: an answer of 503, or 500. partly: the answer that the rest is wanted
    still. lose: the connection ends, and the session is gone. deaf: all is stored, and the connection ends.
    """

    kind: Literal["cut", "throttle", "fail", "partly", "lose", "deaf"]
    size: int = 1 << 60


@dataclass(frozen=True)
class Stored:
    """An object."""

    data: bytes = field(repr=False)
    resource: dict[str, Any]

    @property
    def generation(self) -> str:
        """Its version."""
        return str(self.resource["generation"])


@dataclass
class _Session:
    resource: dict[str, Any]
    data: bytearray = field(default_factory=bytearray)
    finished: Stored | None = None
    condition: str | None = None


@cache
def private_key() -> rsa.RSAPrivateKey:
    """The service account's; made once, for that takes time."""
    return rsa.generate_private_key(65537, 2048)


class ResumableServer:
    """One bucket, `bucket`, for whoever has a token of its token server.

    Example:
        async with ResumableServer() as server:
            file = server.service_file(tmp_path)

    Attributes:
        objects: by name.
        faults: what goes wrong, one for each request that sends bytes to a session.
        requests: how many there were, by kind.
        received: bytes that came over sessions, those thrown away included.
        sessions: those neither finished nor cancelled, by id.
        tokens: those that are accepted.
        gives_good_tokens: not those that are refused at once.
        token_seconds: how long new ones are.
        token_failures: statuses that the token server answers before it gives one again.
        corrupts: every object is stored with a wrong byte.
        uniform: the bucket has uniform bucket-level access.
        remove_failures: of so many objects to be removed, the removal fails.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.faults: deque[Fault] = deque()
        self.requests: Counter[str] = Counter()
        self.received = 0
        self.sessions: dict[str, _Session] = {}
        self.tokens: set[str] = set()
        self.gives_good_tokens = True
        self.token_seconds = 3600
        self.token_failures: deque[int] = deque()
        self.corrupts = False
        self.uniform = False
        self.remove_failures = 0
        self.url = ""
        self._generation = 1000
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20, middlewares=[self._check])
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    def _routes(self) -> list[web.RouteDef]:
        uploads = "/upload/storage/v1/b/bucket/o"
        one = "/storage/v1/b/bucket/o/{name:[^/]+}"
        return [
            web.post("/token", self._token),
            web.get("/storage/v1/b", self._buckets),
            web.get("/storage/v1/b/bucket/o", self._list),
            web.post(uploads, self._upload),
            web.put(uploads, self._send),
            web.delete(uploads, self._cancel),
            web.get(one, self._get),
            web.delete(one, self._delete),
            web.post(one + "/compose", self._compose),
            web.post("/batch/storage/v1", self._batch),
            web.route("*", r"/bucket/{name:[\s\S]+}", self._xml),
        ]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def put(self, name: str, data: bytes) -> None:
        """Stores an object, behind the back of what is tested."""
        self._store({"name": name, "contentType": "application/octet-stream"}, data)

    def service_file(self, directory: Path, **changes: Any) -> Path:
        """Writes a service account's file; `changes` replace what stands in it."""
        pem = private_key().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        content = {
            "type": "service_account",
            "project_id": "project-one",
            "private_key": pem.decode(),
            "client_email": EMAIL,
            "token_uri": f"{self.url}/token",
        }
        path = directory / "service.json"
        path.write_text(json.dumps({**content, **changes}))
        return path

    @property
    def parts(self) -> list[str]:
        """Temporary objects."""
        return [name for name in self.objects if name.startswith(".dxflow-parts/")]

    # Tokens

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Without a token, only sessions and signed URLs are served: they are their own permission."""
        free = request.path == "/token" or "upload_id" in request.query or "X-Goog-Signature" in request.query
        if not free and request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            self.requests["refused"] += 1
            return _error(401, "authError", "Invalid Credentials")
        response: web.StreamResponse = await handler(request)
        return response

    async def _token(self, request: web.Request) -> web.Response:
        self.requests["token"] += 1
        if self.token_failures:
            return web.json_response({"error": "internal_failure"}, status=self.token_failures.popleft())
        assertion = dict(parse_qsl(await request.text())).get("assertion", "")
        try:
            jwt.decode(assertion, private_key().public_key(), ["RS256"], audience=f"{self.url}/token", issuer=EMAIL)
        except jwt.InvalidTokenError:
            refusal = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return web.json_response(refusal, status=400)
        token = secrets.token_urlsafe(16)
        if self.gives_good_tokens:
            self.tokens.add(token)
        return web.json_response({"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer"})

    # Uploads

    async def _upload(self, request: web.Request) -> web.Response:
        if "predefinedAcl" in request.query and self.uniform:
            text = "Cannot insert legacy ACL for an object when uniform bucket-level access is enabled."
            return _error(400, "invalid", text)
        if request.query["uploadType"] == "resumable":
            self.requests["begin"] += 1
            name = secrets.token_hex(8)
            resource = await request.json()
            if not self._is_at(resource["name"], request):
                return _unmet()
            self.sessions[name] = _Session(resource, condition=request.query.get(_CONDITION))
            query = urlencode({"uploadType": "resumable", "upload_id": name})
            return web.Response(headers={"Location": f"{self.url}{request.path}?{query}"})
        self.requests["multipart"] += 1
        boundary = request.headers["Content-Type"].split("boundary=")[1].encode()
        _, head, rest = (await request.read()).split(b"--" + boundary + b"\r\n", 2)
        resource = json.loads(head.split(b"\r\n\r\n", 1)[1])
        if not self._is_at(resource["name"], request):
            return _unmet()
        data = rest.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--" + boundary + b"--", 1)[0]
        return self._answer(self._store(resource, data))

    async def _send(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.query["upload_id"])
        if session is None:
            return _error(410, "uploadLost", "the session is gone")
        wanted = re.fullmatch(r"bytes (?:\*|(\d+)-(\d+))/(\d+)", request.headers["Content-Range"])
        assert wanted is not None, request.headers["Content-Range"]
        size = int(wanted[3])
        if session.finished is None and wanted[1] is not None:
            self.requests["send"] += 1
            if int(wanted[1]) != len(session.data):
                return _error(400, "invalid", "Invalid request. The offset is not that of the bytes that came.")
            refusal = await self._take(request, session)
            if refusal is not None:
                return refusal
        else:
            self.requests["status"] += 1
        if len(session.data) == size and session.finished is None:
            met = self._is_at(session.resource["name"], session.condition)
            session.finished = self._store(session.resource, bytes(session.data)) if met else None
            if session.finished is None:
                return _mismatch() if met else _unmet()
        if session.finished is None:
            return self._incomplete(session)
        return self._answer(session.finished)

    async def _take(self, request: web.Request, session: _Session) -> web.Response | None:
        fault = self.faults.popleft() if self.faults else None
        left = 1 << 60 if fault is None else fault.size
        begun = len(session.data)
        async for chunk in request.content.iter_any():
            self.received += len(chunk)
            session.data += chunk[:left]
            left -= len(chunk)
            if left <= 0:
                break
        if fault is None:
            return None
        if fault.kind == "deaf":
            session.finished = self._store(session.resource, bytes(session.data))
        else:
            kept = (len(session.data) // GRANULE) * GRANULE
            del session.data[max(kept, begun) :]
        if fault.kind == "lose":
            self.sessions.pop(request.query["upload_id"])
        if fault.kind in ("cut", "lose", "deaf"):
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        if fault.kind == "partly":
            return self._incomplete(session)
        return _error(503 if fault.kind == "throttle" else 500, "backendError", "Backend Error")

    def _incomplete(self, session: _Session) -> web.Response:
        headers = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
        return web.Response(status=308, headers=headers)

    async def _cancel(self, request: web.Request) -> web.Response:
        self.requests["cancel"] += 1
        self.sessions.pop(request.query["upload_id"], None)
        return web.Response(status=499)

    def _store(self, resource: dict[str, Any], data: bytes) -> Stored | None:
        """None: the checksum is that of other bytes."""
        if resource.get("crc32c", encode(crc32c(data))) != encode(crc32c(data)):
            return None
        if self.corrupts:
            data = bytes([data[0] ^ 1]) + data[1:]
        self._generation += 1
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        told = {"size": str(len(data)), "generation": str(self._generation), "crc32c": encode(crc32c(data))}
        known = {"kind": "storage#object", "bucket": "bucket", "timeCreated": now}
        stored = Stored(data, {**resource, **told, **known})
        self.objects[resource["name"]] = stored
        return stored

    def _is_at(self, name: str, asked: web.Request | str | None) -> bool:
        """Whether an object has the generation that a request or a session demands; `"0"` is that of none."""
        wanted = asked.query.get(_CONDITION) if isinstance(asked, web.Request) else asked
        return wanted in (None, self.objects[name].generation if name in self.objects else "0")

    def _answer(self, stored: Stored | None) -> web.Response:
        return _mismatch() if stored is None else web.json_response(stored.resource)

    # Objects

    async def _buckets(self, request: web.Request) -> web.Response:
        names = ["bucket"] if request.query["project"] == "project-one" else []
        return web.json_response({"kind": "storage#buckets", "items": [{"name": name} for name in names]})

    async def _list(self, request: web.Request) -> web.Response:
        """Objects and prefixes count alike, in one order."""
        query = request.query
        rows: dict[str, dict[str, Any] | None] = {}
        for name, stored in sorted(self.objects.items(), key=lambda item: item[0].encode()):
            if not name.startswith(query.get("prefix", "")) or name <= query.get("pageToken", ""):
                continue
            if name < query.get("startOffset", ""):
                continue
            head, delimiter, _ = name[len(query.get("prefix", "")) :].partition(query.get("delimiter", "\0"))
            prefix = f"{query.get('prefix', '')}{head}{delimiter}"
            if delimiter and query.get("pageToken", "").startswith(prefix):
                continue
            if len(rows) == int(query["maxResults"]) and prefix not in rows:
                return web.json_response({**_listing(rows), "nextPageToken": next(reversed(rows))})
            rows[prefix] = None if delimiter else stored.resource
        return web.json_response(_listing(rows))

    async def _get(self, request: web.Request) -> web.Response:
        stored = self.objects.get(request.match_info["name"])
        return _error(404, "notFound", "No such object") if stored is None else self._answer(stored)

    async def _compose(self, request: web.Request) -> web.Response:
        self.requests["compose"] += 1
        document = await request.json()
        found = [self.objects.get(source["name"]) for source in document["sourceObjects"]]
        if not 1 <= len(found) <= 32:
            return _error(400, "invalid", "The number of source components is not 1 to 32")
        for source, stored in zip(document["sourceObjects"], found, strict=True):
            if stored is None or stored.generation != source["generation"]:
                return _error(404, "notFound", f"No such object: {source['name']}")
        if not self._is_at(request.match_info["name"], request):
            return _unmet()
        data = b"".join(stored.data for stored in found if stored is not None)
        resource = {**document["destination"], "name": request.match_info["name"]}
        return self._answer(self._store(resource, data))

    async def _delete(self, request: web.Request) -> web.Response:
        status = self._remove(request.match_info["name"], request.query.get("generation"))
        return web.Response(status=204) if status == 204 else _error(status, "", "not removed")

    async def _batch(self, request: web.Request) -> web.Response:
        self.requests["batch"] += 1
        answers = ""
        for number, path in re.findall(r"Content-ID: <(\d+)>\r\n\r\nDELETE (\S+) ", await request.text()):
            target, _, query = path.partition("?")
            status = self._remove(unquote(target.rpartition("/")[2]), dict(parse_qsl(query)).get("generation"))
            head = f"--X\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\n"
            answers += f"{head}HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n\r\n\r\n"
        kind = {"Content-Type": 'multipart/mixed; boundary="X"'}
        return web.Response(text=f"{answers}--X--", headers=kind)

    def _remove(self, name: str, generation: str | None) -> int:
        if self.remove_failures:
            self.remove_failures -= 1
            return 503
        stored = self.objects.get(name)
        if stored is None or generation not in (None, stored.generation):
            return 404
        del self.objects[name]
        return 204

    # The XML API

    async def _xml(self, request: web.Request) -> web.Response:
        """An object's bytes, for whoever has a token or a signature; they are sent as they are stored."""
        signed = "X-Goog-Signature" in request.query
        if signed and not _is_signed(request):
            return _xml_error(403, "SignatureDoesNotMatch")
        name = request.match_info["name"]
        if request.method == "PUT":
            self.put(name, await request.read())
            return web.Response()
        stored = self.objects.get(name)
        if stored is None or request.query.get("generation") not in (None, stored.generation):
            return _xml_error(404, "NoSuchKey")
        if request.headers.get("Accept-Encoding") != "gzip" and not signed:
            return _xml_error(400, "WouldHaveBeenDecompressed")
        return _bytes_of(stored, request.headers.get("Range", ""))


def _bytes_of(stored: Stored, asked: str) -> web.Response:
    """An object, or the range of it that was asked for."""
    headers = CIMultiDict({"X-Goog-Generation": stored.generation})
    for said in (f"crc32c={stored.resource['crc32c']}", "md5=AAAAAAAAAAAAAAAAAAAAAA=="):
        headers.add("X-Goog-Hash", said)
    for key, value in stored.resource.get("metadata", {}).items():
        headers[f"X-Goog-Meta-{key}"] = value
    headers.update({name: stored.resource[field] for name, field in _HEADERS.items() if stored.resource.get(field)})
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    if wanted is None:
        return web.Response(body=stored.data, headers=headers)
    start, size = int(wanted[1]), len(stored.data)
    end = min(size, int(wanted[2] or size) + 1)
    if start >= size:
        return _xml_error(416, "InvalidRange")
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return web.Response(status=206, body=stored.data[start:end], headers=headers)


def _xml_error(status: int, code: str) -> web.Response:
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>Refused.</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")


def _listing(rows: dict[str, dict[str, Any] | None]) -> dict[str, Any]:
    return {
        "kind": "storage#objects",
        "items": [resource for resource in rows.values() if resource is not None],
        "prefixes": [name for name, resource in rows.items() if resource is None],
    }


def _is_signed(request: web.Request) -> bool:
    path, _, raw = request.raw_path.partition("?")
    unsigned, _, signature = raw.rpartition("&X-Goog-Signature=")
    query = dict(parse_qsl(raw))
    stamp = query.get("X-Goog-Date", "")
    seconds = time.time() - time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) + time.timezone
    scope = query["X-Goog-Credential"].partition("/")[2]
    lines = [request.method, path, unsigned, f"host:{request.headers['Host']}", "", "host", "UNSIGNED-PAYLOAD"]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = f"GOOG4-RSA-SHA256\n{stamp}\n{scope}\n{digest}"
    try:
        private_key().public_key().verify(bytes.fromhex(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return -5 <= seconds <= int(query["X-Goog-Expires"])


def _error(status: int, reason: str, message: str) -> web.Response:
    errors = [{"domain": "global", "reason": reason, "message": message}]
    return web.json_response({"error": {"code": status, "message": message, "errors": errors}}, status=status)


def _unmet() -> web.Response:
    return _error(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


def _mismatch() -> web.Response:
    return _error(400, "invalid", 'Provided CRC32C "AAAAAA==" doesn\'t match calculated CRC32C "BBBBBB==".')
