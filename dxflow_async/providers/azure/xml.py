"""The XML of Azure Blob Storage.

Source: https://learn.microsoft.com/rest/api/storageservices/list-blobs and its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from dxflow_async.providers.azure.headers import describe, keeps_checksums, tag_count_of, tier_of
from dxflow_async.providers.common.etags import parse_etag
from dxflow_async.providers.common.fields import timestamp_of
from dxflow_async.providers.common.xml_reader import PLAIN_TEXT, MalformedXMLError, Parser, WholeParser
from dxflow_async.providers.contract import Entry

__all__ = ["BlobListParser", "BlockListParser", "ContainerListParser", "block_list"]


class _ListParser(WholeParser):
    """The common part of all listings.

    Args:
        prefix: the requested prefix; a name without it makes the page invalid.

    Attributes:
        content: the element that contains the list, which an empty listing has, too.
        marker: requests the next page; None on the last one.
    """

    content: str

    def __init__(self, prefix: str = "") -> None:
        super().__init__(prefixes=False)
        self.marker: str | None = None
        self._prefix = prefix
        self._is_its_kind = False

    def close(self) -> None:
        super().close()
        if self.root != "EnumerationResults":
            raise MalformedXMLError(f"<{self.root:.100}> where a listing was expected")
        if not self._is_its_kind:
            raise MalformedXMLError(f"a listing without <{self.content}>")

    def leaf(self, name: str, parent: str, text: str) -> None:
        if name == "NextMarker":
            self.marker = text or None
        elif name == self.content:  # empty
            self._is_its_kind = True

    def branch(self, name: str) -> None:
        self._is_its_kind = self._is_its_kind or name == self.content

    def check(self, name: str) -> None:
        """Refuses a name that was not requested, so that nobody acts on it."""
        if not name.startswith(self._prefix):
            raise MalformedXMLError(f"{name!r:.200} is listed below {self._prefix!r:.200}")


class ContainerListParser(_ListParser):
    """Parses a page of List Containers; `entries` are the containers, as directories."""

    content = "Containers"

    def __init__(self, prefix: str = "") -> None:
        super().__init__(prefix)
        self.entries: list[Entry] = []

    def leaf(self, name: str, parent: str, text: str) -> None:
        if name == "Name" and parent == "Container":
            self.check(text)
            self.entries.append(Entry(f"{text}/", directory=True))
        else:
            super().leaf(name, parent, text)


class BlobListParser(_ListParser):
    """Parses a page of List Blobs with `include=metadata` as it arrives.

    Args:
        container: the container that is listed.
        prefix: the requested prefix.
        versions: whether all versions of each blob are wanted.

    Attributes:
        directories: the keys of real directories, which an account with a hierarchical namespace lists as blobs.
        typed: whether the account says what is a file and what a directory, so that its namespace is hierarchical.
    """

    content = "Blobs"

    def __init__(self, container: str, prefix: str = "", *, versions: bool = False) -> None:
        super().__init__(prefix)
        self._versions = versions
        self.directories: set[str] = set()
        self.typed = False
        self._container = container
        self._entries: dict[str, Entry] = {}
        self._values: dict[str, str] = {}
        self._metadata: dict[str, str] = {}
        self._encoded = False
        self._echo: dict[str, str] = {}
        self._has_prefixes = False

    def contradiction(self, *, recursive: bool) -> str | None:
        """Returns how the page shows that it answers another request; None if nothing does."""
        told = self._echo.get("Prefix")
        if told is not None and self._prefix not in (told, unquote(told)):
            return f"it says that its Prefix was {told:.200}"
        if recursive and (self._has_prefixes or self._echo.get("Delimiter")):
            return "it has directories where all blobs were asked for"
        return None

    @property
    def entries(self) -> Sequence[Entry]:
        """Objects and common prefixes in the order of the bytes of their keys, which start with `container/`."""
        entries = self._entries.values()
        if self._versions:  # the newest first: version IDs are times
            entries = sorted(entries, key=lambda entry: entry.version or "", reverse=True)  # type: ignore[assignment]
        return sorted(entries, key=lambda entry: entry.key.encode())

    @property
    def beyond_bmp(self) -> bool:
        """Whether a name has a character beyond U+FFFF: in the service's order, some others are behind it."""
        names = "".join(self._entries)
        return not names.isascii() and _BEYOND_BMP.search(names) is not None

    def cut(self, text: str) -> str:
        if self._versions:
            return text
        parts = _PLAIN_BLOB.split(text)
        others = parts[::6]
        if "<EnumerationResults" not in others[0] or "</EnumerationResults>" not in others[-1]:
            return text
        for name, properties, metadata in zip(*(parts[group::6] for group in (1, 2, 4)), strict=True):
            self._values = dict(_FIELD.findall(properties))
            self._values["Name"] = name
            self._metadata = {key.lower(): value for key, value in _FIELD.findall(metadata or "")}
            self._add(self._blob())
        return "".join(others)

    def attributes(self, name: str, values: dict[str, str]) -> None:
        # A name that XML cannot represent.
        self._encoded = name == "Name" and values.get("Encoded") == "true"

    def leaf(self, name: str, parent: str, text: str) -> None:
        if parent == "Properties":
            self._values[name] = text
        elif parent == "Metadata":
            self._metadata[name.lower()] = text
        elif name == "Name":
            self._values[name] = self._decoded(text) if self._encoded else text
            self._encoded = False
        elif parent == "Blob" and name in ("Snapshot", "VersionId", "IsCurrentVersion", "Deleted"):
            self._values[name] = text
        elif name in ("Prefix", "Delimiter") and parent == self.root:
            self._echo[name] = text
        else:
            super().leaf(name, parent, text)

    def _decoded(self, text: str) -> str:
        """Returns a name that is marked as encoded; some servers mark names that are not."""
        name = unquote(text)
        return name if name.startswith(self._prefix) or not text.startswith(self._prefix) else text

    def branch(self, name: str) -> None:
        if name == "Blob":
            self._add(self._blob())
        elif name == "BlobPrefix":
            self._has_prefixes = True
            self._add(self._common_prefix())
        else:
            super().branch(name)

    def _add(self, entry: Entry) -> None:
        # Snapshots, earlier versions and deleted blobs have the name of the blob; they are listed unasked by some.
        told = self._values
        if self._versions and not (told.get("Snapshot") or told.get("Deleted") == "true" or entry.directory):
            entry.version = told.get("VersionId")
            entry.latest = entry.version is None or told.get("IsCurrentVersion") == "true"
            self._entries[f"{entry.key}\0{entry.version}"] = entry
        elif not (told.get("Snapshot") or told.get("IsCurrentVersion") == "false" or told.get("Deleted") == "true"):
            self._entries.setdefault(entry.key, entry)
        self._values, self._metadata = {}, {}

    def _common_prefix(self) -> Entry:
        name = self._values.get("Name", "")
        self.check(name)
        if not name.endswith("/"):
            raise MalformedXMLError(f"the prefix {name!r:.200} is not that of a directory")
        self.typed = self.typed or "ResourceType" in self._values
        return Entry(f"{self._container}/{name}", directory=True)

    def _blob(self) -> Entry:
        values, metadata = self._values, self._metadata
        kind = values.get("ResourceType")
        folder = kind == "directory" or metadata.get("hdi_isfolder", "").lower() == "true"
        try:
            name, size = values["Name"], 0 if folder else int(values["Content-Length"])
        except (KeyError, ValueError) as error:
            raise MalformedXMLError(f"a blob without a name or a size ({error})") from error
        self.check(name)
        if kind is not None:
            self.typed = True
        key, modified = f"{self._container}/{name}", timestamp_of(values.get("Last-Modified", ""))
        if folder and not key.endswith("/"):
            self.directories.add(f"{key}/")
            return Entry(f"{key}/", 0, modified, directory=True)
        etag = parse_etag(values.get("Etag"))
        entry = Entry(key, size, modified, not size and key.endswith("/"), etag)
        entry.content_type = values.get("Content-Type") or None
        describe(entry, metadata)
        if not keeps_checksums(values.get("BlobType")):
            entry.crc32c = None
        if "TagCount" in values:
            entry.tag_count = tag_count_of(values["TagCount"])
        entry.storage_class = tier_of(values.get("AccessTier"), values.get("AccessTierInferred"))
        return entry


class BlockListParser(Parser):
    """Parses the response to Get Block List; `blocks` are identifiers and sizes in bytes."""

    def __init__(self) -> None:
        super().__init__(prefixes=False)
        self.blocks: list[tuple[str, int]] = []
        self._name = ""

    def leaf(self, name: str, parent: str, text: str) -> None:
        if name == "Name":
            self._name = text
        elif name == "Size":
            self.blocks.append((self._name, int(text)))

    def close(self) -> None:
        super().close()
        if self.root != "BlockList":
            raise MalformedXMLError(f"<{self.root}> where a list of blocks was expected")


class TagsParser(Parser):
    """Parses the response to Get Blob Tags; `tags` are names and values."""

    def __init__(self) -> None:
        super().__init__(prefixes=False)
        self.tags: list[tuple[str, str]] = []
        self._name = ""

    def leaf(self, name: str, parent: str, text: str) -> None:
        if parent == "Tag" and name == "Key":
            self._name = text
        elif parent == "Tag" and name == "Value":
            self.tags.append((self._name, text))

    def close(self) -> None:
        super().close()
        if self.root != "Tags":
            raise MalformedXMLError(f"<{self.root}> where tags were expected")


_BEYOND_BMP = re.compile("[\U00010000-\U0010ffff]")
_FIELD = re.compile("<([^/>]+)>([^<]*)</")
_PLAIN_BLOB = re.compile(
    rf"<Blob><Name>({PLAIN_TEXT}{{1,4096}})</Name>"
    rf"<Properties>((?:<([A-Za-z][A-Za-z0-9-]*)>{PLAIN_TEXT}{{0,4096}}</\3>|<[A-Za-z][A-Za-z0-9-]* ?/>)*)</Properties>"
    rf"(?:<Metadata>((?:<([A-Za-z_][A-Za-z0-9_]*)>{PLAIN_TEXT}{{0,8192}}</\5>)*)</Metadata>|<Metadata ?/>)?"
    "(?:<OrMetadata ?/>)?</Blob>"
)


def block_list(block_ids: Iterable[str]) -> bytes:
    """Returns the body that commits blocks in this order, the latest of each id: repeating it is harmless."""
    rows = "".join([f"<Latest>{block_id}</Latest>" for block_id in block_ids])
    return f"<?xml version='1.0' encoding='utf-8'?><BlockList>{rows}</BlockList>".encode()
