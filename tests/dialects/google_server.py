"""Google Cloud Storage with rights, requester pays, retention and the habits of other servers of its kind.

It extends the server of uploads and tokens; the messages of its refusals are the service's own.
Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes and
https://cloud.google.com/storage/docs/access-control/iam-json
"""

from __future__ import annotations

import gzip
import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from tests.dialects.google_quirks import GoogleQuirks
from tests.servers.resumable import ResumableServer, Stored

__all__ = ["PAGE", "TOKEN", "GoogleServer"]

TOKEN = "a-token"
PAGE = "<html><body>Please sign in</body></html>"
ODD_TOKEN = 'Cg+/= %2B&é\u2028#?;"'
"""What a token may look like: every character of it has a meaning somewhere on its way."""

_WHO = "science@project-one.iam.gserviceaccount.com"
_PAYS = "Bucket is a requester pays bucket but no user project provided."


class GoogleServer(ResumableServer):
    """One bucket, `bucket`, for whoever has `TOKEN` or, if `anonymous`, for everybody.

    Args:
        quirks: how it differs from a bucket that permits everything.
        anonymous: requests need no token.

    Attributes:
        quirks: see above.
        seen: method and path of each request, without its query.
    """

    def __init__(self, quirks: GoogleQuirks | None = None, *, anonymous: bool = False) -> None:
        super().__init__()
        self.quirks = quirks or GoogleQuirks()
        self.tokens.add(TOKEN)
        self.seen: list[tuple[str, str]] = []
        self._anonymous = anonymous
        self._rewrites: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """The names of all objects, in order."""
        return sorted(self.objects)

    def put(self, name: str, data: bytes, **resource: Any) -> None:
        """Stores an object, behind the back of what is tested; `resource` has more fields of it."""
        self._store({"name": name, "contentType": "application/octet-stream", **resource}, data)

    def _routes(self) -> list[web.RouteDef]:
        one = "/storage/v1/b/bucket/o/{name:[^/]+}"
        return [
            web.get("/storage/v1/b/bucket", self._bucket),
            web.get("/storage/v1/b/bucket/iam/testPermissions", self._test_permissions),
            web.post(one + "/rewriteTo/b/bucket/o/{target:[^/]+}", self._rewrite),
            web.patch(one, self._patch),
            web.get("/download" + one, self._download),
            *super()._routes(),
        ]

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        foreign = self.quirks.foreign
        if foreign is not None and request.method == foreign[0] and foreign[1] in request.path_qs:
            return web.Response(text=PAGE, content_type="text/html")
        if self.quirks.busy and request.path != "/token":
            status = self.quirks.busy.pop(0)
            return refusal(status, "rateLimitExceeded" if status == 429 else "backendError", "Busy")
        permitted = {"upload_id", "X-Goog-Signature"} & request.query.keys() or request.path == "/token"
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not permitted and not self._anonymous and token not in self.tokens:
            self.requests["refused"] += 1
            return refusal(401, "authError", "Invalid Credentials")
        if (unpaid := self._unpaid(request)) is not None:
            return unpaid
        try:
            response: web.StreamResponse = await handler(request)
        except RefusedError as refused:
            return refused.response(xml=request.path.startswith("/bucket/"))
        return response

    def _unpaid(self, request: web.Request) -> web.Response | None:
        payer = self.quirks.user_project
        if payer is None or request.path in ("/token", "/batch/storage/v1", "/storage/v1/b"):
            return None
        named = {request.query.get("userProject"), request.headers.get("x-goog-user-project")} - {None}
        if named == {payer}:
            return None
        if named:
            text = f"{_WHO} does not have serviceusage.services.use access to the Google Cloud project."
            return refusal(403, "forbidden", text)
        if request.path.startswith("/bucket/"):
            return xml_refusal(400, "UserProjectMissing", _PAYS)
        return refusal(400, "required", _PAYS)

    # Rights

    def _need(self, *names: str) -> None:
        """Refuses a request for lack of a right.

        Raises:
            RefusedError: one of them is missing.
        """
        for name in names:
            if f"storage.{name}" not in self.quirks.rights:
                kind = "object" if name.startswith("objects.") and name != "objects.list" else "bucket"
                text = (
                    f"{_WHO} does not have storage.{name} access to the Google Cloud Storage {kind}. Permission "
                    f"'storage.{name}' denied on resource (or it may not exist)."
                )
                raise RefusedError(403, "forbidden", text)

    def _find(self, name: str) -> Stored:
        """Returns an object; whoever may not list does not learn that there is none."""
        if name not in self.objects:
            self._need("objects.list")
            raise RefusedError(404, "notFound", f"No such object: bucket/{name}")
        return self.objects[name]

    def _check_replaceable(self, name: str) -> None:
        if self.quirks.busy_writes:
            self.quirks.busy_writes -= 1
            text = f"The object bucket/{name} exceeded the rate limit for object mutation operations."
            raise RefusedError(429, "rateLimitExceeded", text)
        if name not in self.objects:
            return
        self._need("objects.delete")
        if self.quirks.retained:
            text = (
                f"Object 'bucket/{name}' is subject to bucket's retention policy or object retention and cannot be "
                "deleted or overwritten until 2036-12-26T04:32:51.000-07:00"
            )
            raise RefusedError(403, "retentionPolicyNotMet", text)
        if name in self.quirks.held:
            text = f"Object 'bucket/{name}' is under active Temporary hold and cannot be deleted or overwritten."
            raise RefusedError(403, "objectUnderActiveHold", text)

    async def _bucket(self, request: web.Request) -> web.Response:
        self._need("buckets.get")
        document: dict[str, Any] = {"kind": "storage#bucket", "name": "bucket"}
        if self.quirks.retained:
            document["retentionPolicy"] = {"retentionPeriod": "86400"}
        return self._json(document)

    async def _test_permissions(self, request: web.Request) -> web.Response:
        if self.quirks.no_permission_test:
            return web.Response(status=404, text="404 page not found")
        granted = [name for name in request.query.getall("permissions") if name in self.quirks.rights]
        kind = {"kind": "storage#testIamPermissionsResponse"}
        return self._json({**kind, "permissions": granted} if granted else kind)

    # Uploads

    async def _upload(self, request: web.Request) -> web.Response:
        self._need("objects.create")
        kind = request.query["uploadType"]
        if kind == "multipart":
            if self.quirks.no_multipart:
                return refusal(400, "invalid", "Invalid uploadType: multipart")
            head = (await request.read())[:4096].split(b"\r\n\r\n", 2)[1]
            self._check_replaceable(json.loads(head.partition(b"\r\n--")[0])["name"])
        else:
            self._check_replaceable((await request.json())["name"])
        response = await super()._upload(request)
        if self.quirks.sessions_elsewhere and "Location" in response.headers:
            response.headers["Location"] = response.headers["Location"].replace(self.url, "https://elsewhere.example")
        return response

    def _answer(self, stored: Stored | None) -> web.Response:
        response = super()._answer(stored)
        return response if response.status != 200 or stored is None else self._json(stored.resource)

    def _json(self, document: dict[str, Any]) -> web.Response:
        shown = dict(document)
        if self.quirks.no_kinds:
            shown.pop("kind", None)
        if self.quirks.no_checksums:
            shown.pop("crc32c", None)
        if self.quirks.numbers:
            shown |= {name: int(shown[name]) for name in ("size", "generation") if name in shown}
        return web.json_response(shown)

    # Objects

    async def _buckets(self, request: web.Request) -> web.Response:
        self._need("buckets.list")
        return await super()._buckets(request)

    async def _list(self, request: web.Request) -> web.Response:
        self._need("objects.list")
        token = request.query.get("pageToken", "")
        if self.quirks.empty_pages and not token.startswith("empty:"):
            return self._json({"kind": "storage#objects", "nextPageToken": f"empty:{token}"})
        token = token.removeprefix("empty:")
        if self.quirks.odd_tokens and token:
            if not token.startswith(ODD_TOKEN):
                return refusal(400, "invalid", "Invalid Value")
            token = token.removeprefix(ODD_TOKEN)
        size = str(min(int(request.query["maxResults"]), self.quirks.page_size))
        request = request.clone(rel_url=request.rel_url.update_query(pageToken=token, maxResults=size))
        document = json.loads((await super()._list(request)).text or "")
        if self.quirks.odd_tokens and "nextPageToken" in document:
            document["nextPageToken"] = ODD_TOKEN + document["nextPageToken"]
        if self.quirks.no_checksums or self.quirks.numbers:
            document["items"] = [json.loads(self._json(each).text or "") for each in document["items"]]
        if self.quirks.no_kinds:
            return self._json(document)
        return self._json({name: value for name, value in document.items() if value})

    async def _get(self, request: web.Request) -> web.Response:
        self._need("objects.get")
        self._find(request.match_info["name"])
        return await super()._get(request)

    async def _patch(self, request: web.Request) -> web.Response:
        self._need("objects.update")
        stored = self._find(request.match_info["name"])
        if request.query.get("ifGenerationMatch") not in (None, stored.generation):
            return refusal(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        changes = await request.json()
        stored.resource["metadata"] = {**stored.resource.get("metadata", {}), **changes.get("metadata", {})}
        return self._answer(stored)

    async def _compose(self, request: web.Request) -> web.Response:
        if self.quirks.no_compose:
            return web.Response(status=self.quirks.no_compose, text="this server has no such route")
        self._need("objects.create", "objects.get")
        self._check_replaceable(request.match_info["name"])
        return await super()._compose(request)

    async def _rewrite(self, request: web.Request) -> web.Response:
        """Copies an object, `rewrite_size` bytes in each call."""
        if self.quirks.no_rewrites is not None:
            status, reason = self.quirks.no_rewrites
            if not reason:
                return web.Response(status=status, text="404 page not found")
            raise RefusedError(status, reason, "Request is prohibited by organization's policy.")
        self._need("objects.get", "objects.create")
        source, target = self._find(request.match_info["name"]), request.match_info["target"]
        if request.query.get("sourceGeneration") not in (None, source.generation):
            return refusal(404, "notFound", f"No such object: bucket/{request.match_info['name']}")
        self._check_replaceable(target)
        if not self._is_at(target, request):
            return refusal(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        token = request.query.get("rewriteToken", f"token-{len(self._rewrites)}")
        done = self._rewrites.get(token, 0) + self.quirks.rewrite_size
        self._rewrites[token] = done
        document: dict[str, Any] = {"kind": "storage#rewriteResponse", "objectSize": str(len(source.data))}
        if done < len(source.data):
            document |= {"done": False, "rewriteToken": token, "totalBytesRewritten": str(done)}
            return self._json(document)
        given = json.loads(await request.read() or b"null")
        # Without a resource, all is taken over but the storage class, which is the bucket's then.
        kept = given or {name: value for name, value in source.resource.items() if name != "storageClass"}
        stored = self._store({**kept, "name": target}, source.data)
        assert stored is not None
        resource = json.loads(self._json(stored.resource).text or "")
        return self._json(
            {**document, "done": True, "totalBytesRewritten": str(len(source.data)), "resource": resource}
        )

    def _remove(self, name: str, generation: str | None) -> int:
        self._need("objects.delete")
        if generation in (None, self._find(name).generation):
            self._check_replaceable(name)
        return super()._remove(name, generation)

    async def _batch(self, request: web.Request) -> web.Response:
        if self.quirks.no_batch:
            return web.Response(status=404, text="<html>404. That's an error.</html>", content_type="text/html")
        self.requests["batch"] += 1
        answers = ""
        for number, path in re.findall(r"Content-ID: <(\d+)>\r\n\r\nDELETE (\S+) ", await request.text()):
            target, _, raw = path.partition("?")
            query = dict(parse_qsl(raw))
            body = ""
            try:
                if self.quirks.user_project not in (None, query.get("userProject")):
                    raise RefusedError(400, "required", _PAYS)
                status = self._remove(unquote(target.rpartition("/")[2]), query.get("generation"))
            except RefusedError as refused:
                status, body = refused.status, refused.response().text or ""
            head = f"--X\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\n"
            answers += f"{head}HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
        return web.Response(text=f"{answers}--X--", headers={"Content-Type": 'multipart/mixed; boundary="X"'})

    # Bytes

    async def _download(self, request: web.Request) -> web.Response:
        return await self._xml(request)

    async def _xml(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            return await super()._xml(request)
        signed = "X-Goog-Signature" in request.query
        if not signed:
            self._need("objects.get")
        response = await super()._xml(request)
        if response.status >= 300:
            if not signed:
                self._find(request.match_info["name"])
            return response
        stored = self.objects[request.match_info["name"]]
        encoding = stored.resource.get("contentEncoding")
        response.headers["X-Goog-Storage-Class"] = stored.resource.get("storageClass", "STANDARD")
        response.headers["X-Goog-Stored-Content-Length"] = str(len(stored.data))
        response.headers["X-Goog-Stored-Content-Encoding"] = encoding or "identity"
        if self.quirks.no_checksums:
            response.headers.popall("X-Goog-Hash", None)
        if encoding == "gzip":
            if self.quirks.decompresses:
                return self._decompressed(stored, response)
            response.headers["Content-Encoding"] = "gzip"
        if self.quirks.sends_whole:
            told = {name: value for name, value in response.headers.items() if name.startswith("X-Goog")}
            response = web.Response(body=stored.data, headers=told)
            response.enable_chunked_encoding()
        return response

    def _decompressed(self, stored: Stored, response: web.Response) -> web.Response:
        """As the service does it without `Accept-Encoding: gzip`: whole, and without a length."""
        response.headers.popall("Content-Range", None)
        told = {name: value for name, value in response.headers.items() if name.startswith("X-Goog")}
        whole = web.Response(
            body=gzip.decompress(stored.data), headers={**told, "Warning": "214 UploadServer gunzipped"}
        )
        whole.enable_chunked_encoding()
        return whole


class RefusedError(Exception):
    """The service refuses a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def response(self, *, xml: bool = False) -> web.Response:
        if not xml:
            return refusal(self.status, self.reason, self.message)
        code = {403: "AccessDenied", 404: "NoSuchKey"}.get(self.status, self.reason)
        return xml_refusal(self.status, code, "Refused.", self.message)


def refusal(status: int, reason: str, message: str) -> web.Response:
    """A refusal of the JSON API."""
    errors = [{"domain": "global", "reason": reason, "message": message}]
    return web.json_response({"error": {"code": status, "message": message, "errors": errors}}, status=status)


def xml_refusal(status: int, code: str, message: str, details: str = "") -> web.Response:
    more = f"<Details>{details}</Details>" if details else ""
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    return web.Response(status=status, text=text, content_type="application/xml")
