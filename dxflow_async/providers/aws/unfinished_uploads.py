"""Lists the multipart uploads of a key that are neither completed nor aborted.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote, unquote_plus

from dxflow_async.providers.aws.xml import MalformedXMLError, timestamp_of
from dxflow_async.providers.common.xml_reader import Parser

__all__ = ["unfinished"]

_MARKERS = {"key-marker": "NextKeyMarker", "upload-id-marker": "NextUploadIdMarker"}
"""The parameters that ask for the next page, and the elements that give their values."""


async def unfinished(name: str, ask: Callable[[Mapping[str, str]], Awaitable[bytes]]) -> list[tuple[str, float]]:
    """Returns the ids of a key's uploads, and when each began, in seconds since the epoch.

    Args:
        name: the key, without its bucket.
        ask: sends a query to the bucket and returns the response.

    Raises:
        MalformedXMLError: the response is not such a list.
    """
    query = {"uploads": "", "prefix": name, "encoding-type": "url"}
    found: list[tuple[str, float]] = []
    seen: set[tuple[str, ...]] = set()
    while True:
        page = _Page()
        page.feed(await ask(query))
        page.close()
        if page.root != "ListMultipartUploadsResult":
            raise MalformedXMLError(f"<{page.root}> where a list of uploads was expected")
        for upload in page.uploads:
            key = upload.get("Key", "")
            # Some servers do not encode names although they are asked to.
            if upload.get("UploadId") and name in (key, unquote(key), unquote_plus(key)):
                found.append((upload["UploadId"], timestamp_of(upload.get("Initiated", ""))))
        if page.values.get("IsTruncated", "").strip().lower() != "true":
            return found
        markers = {each: page.values.get(element, "") for each, element in _MARKERS.items()}
        if not any(markers.values()) or tuple(markers.values()) in seen:
            raise MalformedXMLError("a list of uploads that does not go on")
        seen.add(tuple(markers.values()))
        query |= markers


class _Page(Parser):
    """Parses the values of the page and of each upload, without its initiator."""

    def __init__(self) -> None:
        super().__init__(prefixes=False)
        self.values: dict[str, str] = {}
        self.uploads: list[dict[str, str]] = []
        self._upload: dict[str, str] = {}

    def leaf(self, name: str, parent: str, text: str) -> None:
        if parent == "Upload":
            self._upload[name] = text
        elif parent == self.root:
            self.values[name] = text

    def branch(self, name: str) -> None:
        if name == "Upload":
            self.uploads.append(self._upload)
            self._upload = {}
