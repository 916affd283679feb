"""Azure Blob Storage with the habits of older and other servers of its kind, and with fewer rights.

It extends the server with a hierarchical namespace; the messages of its refusals are those of the service and of
Azurite. Source: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate
from xml.sax.saxutils import escape

from aiohttp import web

from tests.dialects.azure_quirks import AzureQuirks
from tests.servers.hierarchical_azure import Blob, HierarchicalAzure

__all__ = ["ODD_TOKEN", "AzureServer"]

_EMPTY = "empty:"

ODD_TOKEN = '2!92!+/= %2B&<"é\u2028#?;'
"""What a token may look like: every character of it has a meaning somewhere on its way."""


class AzureServer(HierarchicalAzure):
    """One container, `container`, in an account.

    Args:
        quirks: how it differs from an account that permits everything.

    Attributes:
        quirks: see above.
        versions: the version of the protocol of each request.
        copies: how many copies were refused.
        deleted: the blobs that were deleted, and are kept for a while.
    """

    def __init__(self, quirks: AzureQuirks | None = None) -> None:
        self.quirks = quirks or AzureQuirks()
        super().__init__(typed=not self.quirks.untyped, page_size=self.quirks.page_size)
        self.versions: list[str] = []
        self.copies = 0
        self.deleted: dict[str, Blob] = {}
        self.answer = self._refuse

    @property
    def parts(self) -> list[str]:
        """The names of blobs of which only blocks exist, as a listing with `include=uncommittedblobs` has them."""
        return sorted(self._blocks.keys() - self.content.keys())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        response = await super()._handle(request)
        if self.quirks.html_errors and response.status >= 400 and request.method != "HEAD":
            page = f"<html><body>{response.status}</body></html>"
            headers = {"x-ms-request-id": "request-1"}
            return web.Response(status=response.status, text=page, content_type="text/html", headers=headers)
        return response

    def _refuse(self, request: web.Request) -> web.Response | None:
        """Returns the refusal of a request, before anything is done."""
        quirks, comp, version = self.quirks, request.query.get("comp", ""), request.headers.get("x-ms-version", "")
        self.versions.append(version)
        if version > quirks.newest_version:
            return self._old(version)
        return self._switched(request, comp) or self._without_rights(request, comp)

    def _switched(self, request: web.Request, comp: str) -> web.Response | None:
        """Returns the answer that a switch asks for."""
        quirks, asked = self.quirks, f"{request.method} {comp}".strip()
        if asked in quirks.foreign:
            return web.Response(text="<html><body>Please sign in</body></html>", content_type="text/html")
        if following := quirks.next_refusals.get(asked):
            status, code, headers = following.pop(0)
            page = "<html><body><h1>Service Unavailable</h1></body></html>"
            if not code:
                return web.Response(status=status, text=page, headers=headers, content_type="text/html")
            return _refusal(status, code, "Refused.", headers=headers)
        if asked in quirks.refusals:
            status, code, headers = quirks.refusals[asked]
            return _refusal(status, code, "Refused.", headers=headers)
        if "x-ms-copy-source" in request.headers and quirks.no_copies is not None:
            self.copies += 1
            status, source = quirks.no_copies
            more = f"<CopySourceStatusCode>{status}</CopySourceStatusCode>"
            more += f"<CopySourceErrorCode>{source}</CopySourceErrorCode>"
            return _refusal(status, "CannotVerifyCopySource", "Could not verify the copy source.", more)
        return None

    def _without_rights(self, request: web.Request, comp: str) -> web.Response | None:
        """Returns the refusal of a request for which a right is missing."""
        quirks = self.quirks
        if comp == "batch" and quirks.batch_refusal is not None:
            return _refusal(*quirks.batch_refusal, "Refused.")
        of_container = request.query.get("restype") == "container" and comp not in ("list", "batch")
        if (of_container and quirks.no_container_rights) or (comp == "list" and quirks.no_list):
            text = "This request is not authorized to perform this operation."
            return _refusal(403, "AuthorizationFailure", text)
        if quirks.no_tags and (comp == "tags" or "x-ms-tags" in request.headers):
            text = "Blob tags are only supported on General Purpose v2 storage accounts."
            return _refusal(400, "BlobTagsNotSupportedForAccountType", text)
        tagged = "tags" in quirks.denied and "x-ms-tags" in request.headers
        if _right(request.method, comp) in quirks.denied or tagged:
            text = "This request is not authorized to perform this operation using this permission."
            return _refusal(403, "AuthorizationPermissionMismatch", text)
        return None

    def _old(self, version: str) -> web.Response:
        words = self.quirks.version_words
        if words == "none":
            return web.Response(status=400)
        if words == "azurite":
            return _refusal(400, "InvalidHeaderValue", f"The API version {version} is not supported by Azurite.")
        more = f"<HeaderName>x-ms-version</HeaderName><HeaderValue>{version}</HeaderValue>"
        text = "The value for one of the HTTP headers is not in the correct format."
        return _refusal(400, "InvalidHeaderValue", text, more)

    def _answer(self, request: web.Request, comp: str, name: str, data: bytes) -> web.Response:
        response = super()._answer(request, comp, name, data)
        if self.quirks.no_checksums:
            for header in ("x-ms-content-crc64", "content-md5"):
                response.headers.popall(header, None)
        if self.quirks.no_etags and request.method == "PUT":
            response.headers.popall("ETag", None)
        return response

    def _copy(self, name: str, headers: Mapping[str, str]) -> web.Response:
        response = super()._copy(name, headers)
        if self.quirks.failing_copies and response.status == 202:
            self.content[name].data = b""
            reason = {"x-ms-copy-status-description": self.quirks.failing_copies}
            response.headers.update({"x-ms-copy-status": "failed", **reason})
        return response

    def _delete(self, name: str) -> web.Response:
        blob, response = self.content.get(name), super()._delete(name)
        if self.quirks.soft_delete and blob is not None and response.status == 202:
            self.deleted[name] = blob
        return response

    def _deleted_rows(self, query: Mapping[str, str]) -> str:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        names = [name for name in self.deleted if name.startswith(prefix)]
        return "".join(
            f"<Blob><Name>{escape(name)}</Name><Deleted>true</Deleted><Properties><Last-Modified>"
            f"{formatdate(0, usegmt=True)}</Last-Modified><Etag>0x0</Etag>"
            f"<Content-Length>{len(self.deleted[name].data)}</Content-Length><BlobType>BlockBlob</BlobType>"
            "<RemainingRetentionDays>7</RemainingRetentionDays></Properties><Metadata /></Blob>"
            for name in names
            if not delimiter or delimiter not in name[len(prefix) :]
        )

    def _list(self, query: Mapping[str, str]) -> web.Response:
        quirks, marker = self.quirks, query.get("marker", "")
        if quirks.empty_pages and not marker.startswith(_EMPTY):
            text = (
                f"<EnumerationResults><Prefix/><Blobs/><NextMarker>{_EMPTY}{marker}</NextMarker></EnumerationResults>"
            )
            return web.Response(text=text.replace("<Prefix/>", ""), content_type="application/xml")
        if quirks.odd_markers and marker:
            if not marker.startswith(ODD_TOKEN):
                return _refusal(400, "InvalidQueryParameterValue", "The marker is not valid.")
            marker = marker.removeprefix(ODD_TOKEN)
        changed = {**query, "marker": marker.removeprefix(_EMPTY)}
        if quirks.ignores_start:
            changed.pop("startFrom", None)
        response = super()._list(changed)
        text = response.text or ""
        if quirks.odd_markers:
            text = re.sub("<NextMarker>(?=[^<])", lambda found: found[0] + escape(ODD_TOKEN), text)
        if quirks.snapshots:
            text = re.sub(r"<Blob>(<Name>.*?</Name>)(.*?)</Blob>", _with_earlier_states, text)
        if quirks.soft_delete and not marker:
            text = text.replace("<Blobs>", f"<Blobs>{self._deleted_rows(query)}", 1)
        if quirks.mark:
            text = "\ufeff" + text
        return web.Response(text=text, content_type="application/xml")


def _with_earlier_states(found: re.Match[str]) -> str:
    """A deleted blob, an earlier version and a snapshot, then the blob itself as the current version."""
    name, time = found[1], "2024-01-01T00:00:00.0000000Z"
    old = re.sub("<Content-Length>.*?</Content-Length>", "<Content-Length>999</Content-Length>", found[2])
    marks = (
        "<Deleted>true</Deleted>",
        f"<VersionId>{time}</VersionId><IsCurrentVersion>false</IsCurrentVersion>",
        f"<Snapshot>{time}</Snapshot>",
    )
    current = f"<VersionId>{time}</VersionId><IsCurrentVersion>true</IsCurrentVersion>"
    rows = "".join(f"<Blob>{name}{mark}{old}</Blob>" for mark in marks)
    return f"{rows}<Blob>{name}{current}{found[2]}</Blob>"


def _right(method: str, comp: str) -> str:
    """The right that a request needs."""
    if comp in ("list", "batch", "tags"):
        return {"list": "list", "batch": "delete"}.get(comp, "tags")
    return {"GET": "read", "HEAD": "read", "PUT": "write"}.get(method, "delete")


def _refusal(
    status: int, code: str, text: str, more: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    document = (
        f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{code}</Code><Message>{text}</Message>{more}</Error>"
    )
    told = {"x-ms-error-code": code, "x-ms-request-id": "request-1", **(headers or {})}
    return web.Response(status=status, text=document, headers=told, content_type="application/xml")
