"""Google Cloud Storage whose objects are encrypted with customers' keys, or with keys of Cloud KMS.

Every request that writes, reads, composes or copies the bytes of an object under a key has to send it, as has each
request of a resumable upload. Without the key, the resource of an object has no checksum.
Source: https://cloud.google.com/storage/docs/encryption/using-customer-supplied-keys and
https://cloud.google.com/storage/docs/encryption/using-customer-managed-keys
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.dialects.google_server import GoogleServer, refusal, xml_refusal

__all__ = ["EncryptedGoogle"]

_KEYED = "The target object is encrypted by a customer-supplied encryption key."
_PLAIN = "The target object is not encrypted by a customer-supplied encryption key."


class EncryptedGoogle(GoogleServer):
    """The server.

    Attributes:
        keys: the SHA-256 of the customer's key, by object.
        managed: the name of the key of Cloud KMS, by object.
        signed: how many requests had credentials.
    """

    def __init__(self, *, anonymous: bool = False) -> None:
        super().__init__(anonymous=anonymous)
        self.keys: dict[str, str] = {}
        self.managed: dict[str, str] = {}
        self.signed = 0
        self._begun: dict[str, tuple[str | None, str | None]] = {}
        self._asked: tuple[str | None, str | None] = None, None

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.signed += "Authorization" in request.headers
        try:
            said, source = _key_of(request, "x-goog"), _key_of(request, "x-goog-copy-source")
        except ValueError as error:
            return refusal(400, "invalidSecretKey", str(error))
        refused = await self._unkeyed(request, said, source)
        if refused is not None:
            return _in_xml(refused) if request.path.startswith("/bucket/") else refused
        query = request.query
        managed = query.get("kmsKeyName") or query.get("destinationKmsKeyName")
        if "upload_id" in query:
            if self._begun.get(query["upload_id"], (said,))[0] != said:
                return refusal(400, "customerEncryptionKeyIsIncorrect", "The key differs from the session's.")
            managed = self._begun[query["upload_id"]][1]
        if said and managed:
            return refusal(400, "invalid", "A key of the customer and one of Cloud KMS exclude each other.")
        self._asked = said, managed
        response: web.StreamResponse = await super()._check(request, handler)
        if "Location" in response.headers:
            self._begun[response.headers["Location"].rpartition("upload_id=")[2]] = said, managed
        return self._without_checksum(request, response, said)

    async def _unkeyed(self, request: web.Request, said: str | None, source: str | None) -> web.Response | None:
        """Returns the refusal of a request that lacks a key, or has another one."""
        raw = request.raw_path.partition("?")[0]
        if request.method in ("DELETE", "PATCH"):
            return refusal(400, "invalid", "This takes no key.") if said or source else None
        if "/rewriteTo/" in raw:
            name = unquote(raw.partition("/rewriteTo/")[0].rpartition("/o/")[2])
            return self._wrong(name, source)
        if source is not None:
            return refusal(400, "invalid", "Only copies have the key of a source.")
        if raw.endswith("/compose"):
            sources = (await request.json())["sourceObjects"]
            return next(filter(None, (self._wrong(each["name"], said) for each in sources)), None)
        media = request.query.get("alt") == "media" or raw.startswith(("/bucket/", "/download/"))
        if request.method in ("GET", "HEAD") and (media or (said is not None and "/o/" in raw)):
            name = unquote(raw.removeprefix("/bucket/") if raw.startswith("/bucket/") else raw.rpartition("/o/")[2])
            return self._wrong(name, said)
        return None

    def _wrong(self, name: str, said: str | None) -> web.Response | None:
        if name not in self.objects or self.keys.get(name) == said:
            return None
        if said is None:
            return refusal(400, "resourceIsEncryptedWithCustomerEncryptionKey", _KEYED)
        if name not in self.keys:
            return refusal(400, "resourceNotEncryptedWithCustomerEncryptionKey", _PLAIN)
        return refusal(400, "customerEncryptionKeyIsIncorrect", "The provided encryption key is incorrect.")

    def _store(self, resource: dict[str, Any], data: bytes) -> Any:
        said, managed = self._asked
        kept = {name: value for name, value in resource.items() if name not in ("kmsKeyName", "customerEncryption")}
        if managed:
            kept["kmsKeyName"] = f"{managed}/cryptoKeyVersions/1"
        if said:
            kept["customerEncryption"] = {"encryptionAlgorithm": "AES256", "keySha256": said}
        for known, value in ((self.keys, said), (self.managed, managed)):
            known.pop(resource["name"], None)
            if value:
                known[resource["name"]] = value
        return super()._store(kept, data)

    def _without_checksum(
        self, request: web.Request, response: web.StreamResponse, said: str | None
    ) -> web.StreamResponse:
        """Returns the answer without the checksum of an object whose key was not sent."""
        listing = request.method == "GET" and request.path.endswith("/o")
        if (
            response.status != 200
            or said is not None
            or request.method != "GET"
            or not isinstance(response, web.Response)
        ):
            return response
        if response.content_type != "application/json":
            return response
        document = json.loads(response.text or "{}")
        for each in document.get("items", []) if listing else [document]:
            if isinstance(each, dict) and each.get("name") in self.keys:
                each.pop("crc32c", None)
        return web.json_response(document)


def _in_xml(refused: web.Response) -> web.Response:
    """Returns the refusal as the XML API words it."""
    (error,) = json.loads(refused.text or "")["error"]["errors"]
    reason = error["reason"]
    return xml_refusal(refused.status, reason[0].upper() + reason[1:], error["message"])


def _key_of(request: web.Request, prefix: str) -> str | None:
    """Returns the SHA-256 of the key that a request has.

    Raises:
        ValueError: the key is not valid.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    parts = [headers.get(f"{prefix}-encryption-{name}") for name in ("key", "key-sha256", "algorithm")]
    if parts == [None, None, None]:
        return None
    key, digest, algorithm = parts
    raw = base64.b64decode(key or "", validate=True)
    if algorithm != "AES256" or len(raw) != 32 or base64.b64encode(hashlib.sha256(raw).digest()).decode() != digest:
        raise ValueError("The provided encryption key is invalid.")
    return digest
