"""The versions of objects that a bucket keeps.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus

from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.headers import class_of
from dxflow_async.providers.common.confirm import check_names, contradiction, not_the_service
from dxflow_async.providers.common.etags import parse_etag
from dxflow_async.providers.common.xml_reader import MalformedXMLError, WholeParser
from dxflow_async.providers.contract import Entry, Page, page_size
from dxflow_async.providers.http import Call, HTTPReader

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["list_versions"]


class VersionCursor(NamedTuple):
    """Where a listing of versions continues."""

    key: str
    version: str


async def list_versions(provider: AWSProvider, prefix: str, *, recursive: bool, cursor: VersionCursor | None) -> Page:
    """Returns a page of versions; see `Provider.list_versions`."""
    bucket, _, rest = prefix.partition("/")
    call = Call(provider.name, "list", f"/{prefix}")
    size = str(page_size(recursive=recursive, first=cursor is None))
    query = {"versions": "", "encoding-type": "url", "prefix": rest, "max-keys": size}
    if not recursive:
        query["delimiter"] = "/"
    if cursor is not None:
        query |= {"key-marker": cursor.key, "version-id-marker": cursor.version}
    response = await provider.requests.send(call, "GET", bucket, query=query)
    parser = _VersionListParser()
    async with HTTPReader(Entry(call.path), -1, provider.requests.http, call, response) as reading:
        try:
            async for chunk in reading:
                parser.feed(chunk)
            parser.close()
        except (MalformedXMLError, ValueError) as error:
            raise not_the_service(call, str(error), response.status) from error
    entries = parser.entries(bucket)
    check_names(call, prefix, entries)
    if parser.values.get("IsTruncated") != "true":
        return Page(entries, None)
    key = parser.name(parser.values.get("NextKeyMarker", ""))
    following = VersionCursor(key, parser.values.get("NextVersionIdMarker", ""))
    if not key or following == cursor:
        raise contradiction(call, "it goes on, but does not say where")
    return Page(entries, following)


class _VersionListParser(WholeParser):
    """Parses a page of ListObjectVersions.

    Attributes:
        values: of the page itself.
    """

    def __init__(self) -> None:
        super().__init__(prefixes=False)
        self.values: dict[str, str] = {}
        self._row: dict[str, str] = {}
        self._versions: list[dict[str, str]] = []
        self._prefixes: list[str] = []

    def leaf(self, name: str, parent: str, text: str) -> None:
        if parent in ("Version", "DeleteMarker", "CommonPrefixes"):
            self._row[name] = text
        elif parent == self.root:
            self.values[name] = text

    def branch(self, name: str) -> None:
        if name in ("Version", "DeleteMarker", "CommonPrefixes"):
            row, self._row = self._row, {}
            if name == "Version":
                self._versions.append(row)
            elif name == "CommonPrefixes":
                self._prefixes.append(row.get("Prefix", ""))

    def close(self) -> None:
        super().close()
        if self.root != "ListVersionsResult":
            raise MalformedXMLError(f"<{self.root:.100}> where a listing of versions was expected")

    def name(self, text: str) -> str:
        """Returns a name as it is."""
        return unquote_plus(text) if self.values.get("EncodingType") == "url" else text

    def entries(self, bucket: str) -> list[Entry]:
        """Returns the versions and the common prefixes by the bytes of their keys; those of a key in their order."""
        found = [
            Entry(
                f"{bucket}/{self.name(row.get('Key', ''))}",
                int(row.get("Size") or 0),
                s3xml.timestamp_of(row.get("LastModified", "")),
                etag=parse_etag(row.get("ETag")),
                version=row.get("VersionId"),
                latest=row.get("IsLatest") != "false",
                storage_class=class_of(row.get("StorageClass")),
            )
            for row in self._versions
        ]
        found += [Entry(f"{bucket}/{self.name(each)}", directory=True) for each in self._prefixes]
        return sorted(found, key=lambda entry: entry.key.encode())
