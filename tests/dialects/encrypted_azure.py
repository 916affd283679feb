"""Azure Blob Storage whose blobs are encrypted with customers' keys or encryption scopes, and which insists on them.

Whatever writes a block or a blob says how it is encrypted, and all blocks of a blob say the same as its list. Who reads
a blob under a key, or looks it up, has to send that key. Nothing is copied from or to a blob under a key.
Source: https://learn.microsoft.com/azure/storage/blobs/encryption-customer-provided-keys and
https://learn.microsoft.com/rest/api/storageservices/version-specific-encryption-scope
"""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import unquote, urlsplit

from aiohttp import web

from tests.dialects.azure_server import AzureServer

__all__ = ["EncryptedAzure"]

_USES_KEY = "BlobUsesCustomerSpecifiedEncryption"
_NO_KEY = "BlobDoesNotUseCustomerSpecifiedEncryption"


class EncryptedAzure(AzureServer):
    """The server.

    Attributes:
        encryption: how each blob is encrypted: `key:SHA256`, `scope:NAME`, or `""`.
        blocks: the same for the blocks of each blob.
        signed: how many requests had credentials.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encryption: dict[str, str] = {}
        self.blocks: dict[str, set[str]] = {}
        self.signed = 0

    def _refuse(self, request: web.Request) -> web.Response | None:
        self.signed += "Authorization" in request.headers or "sig" in request.query
        return super()._refuse(request) or self._unencrypted(request)

    def _unencrypted(self, request: web.Request) -> web.Response | None:
        """Returns the refusal of a request that does not say what it must about the encryption."""
        name = unquote(request.raw_path.partition("?")[0])[1:].partition("/")[2]
        comp = request.query.get("comp", "")
        try:
            said = _said(request)
        except ValueError as error:
            return _refused(400, "InvalidHeaderValue", str(error))
        if not name or request.method == "DELETE" or comp in ("list", "batch", "tags"):
            return _refused(400, "UnsupportedHeader", "This takes no key.") if said else None
        if request.method in ("GET", "HEAD"):
            return self._unread(name, comp, said)
        return self._unwritten(request, name, comp, said)

    def _unwritten(self, request: web.Request, name: str, comp: str, said: str) -> web.Response | None:
        source = request.headers.get("x-ms-copy-source")
        if source is not None:
            from_key = self.encryption.get(unquote(urlsplit(source).path)[1:].partition("/")[2], "")
            if said or from_key.startswith("key:"):
                return _refused(409, _USES_KEY, "Blobs under a customer's key are not copied.")
        if comp == "block":
            self.blocks.setdefault(name, set()).add(said)
            return None
        if comp == "blocklist" and self.blocks.pop(name, {said}) != {said}:
            return _refused(409, _USES_KEY, "The blocks are encrypted in another way than the blob.")
        self.encryption[name] = said
        return None

    def _unread(self, name: str, comp: str, said: str) -> web.Response | None:
        if comp == "blocklist" or name not in self.encryption:
            return None
        kept = self.encryption[name]
        if said.startswith("scope:"):
            return _refused(400, "UnsupportedHeader", "A scope is not named to read.")
        if kept.startswith("key:") and said.startswith("key:") and said != kept:
            return _refused(409, "BlobCustomerSpecifiedEncryptionMismatch", "The given encryption does not match.")
        if kept.startswith("key:") and said != kept:
            return _refused(409, _USES_KEY, "The blob is encrypted with customer specified encryption.")
        if said and not kept.startswith("key:"):
            return _refused(409, _NO_KEY, "The blob is not encrypted with customer specified encryption.")
        return None


def _said(request: web.Request) -> str:
    """Returns what a request says of the encryption.

    Raises:
        ValueError: it contradicts itself.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    parts = [headers.get(f"x-ms-encryption-{name}") for name in ("key", "key-sha256", "algorithm")]
    scope = headers.get("x-ms-encryption-scope")
    if parts == [None, None, None]:
        return "" if scope is None else f"scope:{scope}"
    key, digest, algorithm = parts
    raw = base64.b64decode(key or "", validate=True)
    if scope is not None or algorithm != "AES256" or len(raw) != 32:
        raise ValueError("The key is not valid.")
    if base64.b64encode(hashlib.sha256(raw).digest()).decode() != digest:
        raise ValueError("The key does not have that SHA-256.")
    return f"key:{digest}"


def _refused(status: int, code: str, text: str) -> web.Response:
    document = f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{code}</Code><Message>{text}</Message></Error>"
    headers = {"x-ms-error-code": code, "x-ms-request-id": "request-1"}
    return web.Response(status=status, text=document, headers=headers, content_type="application/xml")
