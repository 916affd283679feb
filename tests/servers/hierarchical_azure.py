"""Azure Blob Storage of an account with a hierarchical namespace, which no emulator has: directories are real.

It answers as the service does, but checks no signatures. A directory is made with the first file below it, is listed
before what is in it, stays when that is gone, and cannot be deleted before. Nothing can be below a file.
Source: https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-known-issues and the REST pages of each verb
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from aiohttp import web

__all__ = ["Blob", "HierarchicalAzure"]

_METADATA = "x-ms-meta-"
_SYSTEM = ("cache-control", "content-disposition", "content-encoding", "content-language")
_TIERS = ("Hot", "Cool", "Cold", "Archive")
_VERSION = {"x-ms-version": "2023-11-03", "x-ms-request-id": "request-1"}


@dataclass
class Blob:
    """A file, or a directory.

    Attributes:
        system: the HTTP headers that are stored with it, by name.
        tier: the access tier; empty for that of the account.
    """

    data: bytes = b""
    metadata: dict[str, str] = field(default_factory=dict)
    directory: bool = False
    content_type: str = "application/octet-stream"
    etag: str = ""
    modified: float = 0.0
    blob_type: str = "BlockBlob"
    md5: str = ""
    tags: str = ""
    copy_id: str = ""
    system: dict[str, str] = field(default_factory=dict)
    tier: str = ""


class HierarchicalAzure:
    """The server, with one container; ends with its `async with` block.

    Args:
        typed: whether listings and headers tell the type, as since 2020; else a directory's metadata alone does.
        page_size: entries in a page of a listing, at most.
        now: the time at which everything is stored, in seconds.

    Attributes:
        content: files and directories by name.
        requests: what was asked: the method with its `comp`, and the name.
        answer: gives another answer than the server's, where it returns one.
    """

    container = "container"

    def __init__(self, *, typed: bool = True, page_size: int = 5000, now: float = 1_700_000_000.0) -> None:
        self.content: dict[str, Blob] = {}
        self.requests: list[tuple[str, str]] = []
        self.answer: Callable[[web.Request], web.Response | None] = lambda _: None
        self.now = now
        self._typed = typed
        self._page_size = page_size
        self._blocks: dict[str, dict[str, bytes]] = {}
        self._versions = 0

    @property
    def files(self) -> dict[str, bytes]:
        """The files by name."""
        return {name: blob.data for name, blob in sorted(self.content.items()) if not blob.directory}

    @property
    def directories(self) -> list[str]:
        """The names of the directories."""
        return sorted(name for name, blob in self.content.items() if blob.directory)

    def put(self, name: str, data: bytes = b"", **metadata: str) -> None:
        """A file that somebody else stores, or a directory where the name ends in a slash."""
        self._store(name.rstrip("/"), Blob(data, dict(metadata), directory=name.endswith("/")))

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{tail:(?s:.*)}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        container, _, name = unquote(request.raw_path.partition("?")[0])[1:].partition("/")
        name, comp = name.rstrip("/"), request.query.get("comp", "")
        self.requests.append((f"{request.method} {comp}".strip(), name))
        other = self.answer(request)
        if other is not None:
            return other
        if container != self.container:
            return _refusal(404, "ContainerNotFound", "The specified container does not exist.")
        data = await request.read()
        response = self._answer(request, comp, name, data)
        response.headers.update(_VERSION)
        return response

    def _answer(self, request: web.Request, comp: str, name: str, data: bytes) -> web.Response:
        if comp == "list":
            return self._list(request.query)
        if comp == "batch":
            return self._batch(data)
        if not name:
            return web.Response(headers={"ETag": '"container"'})
        if request.method == "DELETE":
            return self._delete(name)
        if request.method == "PUT":
            return self._put(request, comp, name, data)
        lists = {"tags": self._tags, "blocklist": self._block_list}
        return lists[comp](name) if comp in lists else self._read(name, request.headers)

    def _put(self, request: web.Request, comp: str, name: str, data: bytes) -> web.Response:
        headers = request.headers
        if (misplaced := _misplaced(comp, headers)) is not None:
            return misplaced
        if comp == "block":
            self._blocks.setdefault(name, {})[request.query["blockid"]] = data
            return web.Response(status=201, headers=_told(headers))
        if comp == "blocklist":
            blocks = self._blocks.pop(name, {})
            data = b"".join(blocks[block] for block in re.findall("<Latest>(.*?)</Latest>", data.decode()))
        return self._copy(name, headers) if "x-ms-copy-source" in headers else self._write(name, data, headers)

    # Reading

    def _list(self, query: Mapping[str, str]) -> web.Response:
        prefix, marker = query.get("prefix", ""), query.get("marker", "")
        size = min(int(query["maxresults"]), self._page_size)
        all_names = self._names(prefix, query.get("delimiter"))
        start = max(_order(marker), _order(query.get("startFrom", "")))
        names = [each for each in all_names if _order(each) >= start]
        rows = [self._row(name) for name in names[:size]]
        following = escape(names[size]) if len(names) > size else ""
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{self.container}">'
            f"<Prefix>{escape(prefix)}</Prefix><Blobs>{''.join(rows)}</Blobs>"
            f"<NextMarker>{following}</NextMarker></EnumerationResults>"
        )
        return web.Response(text=text, content_type="application/xml")

    def _names(self, prefix: str, delimiter: str | None) -> Iterator[str]:
        """In the order of the tree: what is in a directory follows it at once."""
        seen = set()
        for name in sorted((each for each in self.content if each.startswith(prefix)), key=_order):
            head, slash, _ = name[len(prefix) :].partition("/")
            if not delimiter or (not slash and not self.content[name].directory):
                yield name
            elif head not in seen:
                seen.add(head)
                yield f"{prefix}{head}/"

    def _row(self, name: str) -> str:
        if name.endswith("/"):
            return f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>"
        blob = self.content[name]
        kind = f"<ResourceType>{'directory' if blob.directory else 'file'}</ResourceType>" if self._typed else ""
        metadata = {**blob.metadata, **({"hdi_isfolder": "true"} if blob.directory else {})}
        values = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in metadata.items())
        return (
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{formatdate(blob.modified, usegmt=True)}"
            f"</Last-Modified><Etag>{blob.etag}</Etag>{kind}<Content-Length>{len(blob.data)}</Content-Length>"
            f"<Content-Type>{blob.content_type}</Content-Type><BlobType>{blob.blob_type}</BlobType>{_count(blob)}"
            f"<AccessTier>{blob.tier or 'Hot'}</AccessTier>"
            f"{'' if blob.tier else '<AccessTierInferred>true</AccessTierInferred>'}</Properties>"
            f"<Metadata>{values}</Metadata></Blob>"
        )

    def _read(self, name: str, asked: Mapping[str, str]) -> web.Response:
        blob = self.content.get(name)
        if blob is None:
            return _refusal(404, "BlobNotFound", "The specified blob does not exist.")
        if asked.get("if-match", f'"{blob.etag}"') != f'"{blob.etag}"':
            return _refusal(412, "ConditionNotMet", "The condition is not met.")
        headers = {
            "Content-Type": blob.content_type,
            "ETag": f'"{blob.etag}"',
            "Last-Modified": formatdate(blob.modified, usegmt=True),
            "x-ms-blob-type": blob.blob_type,
        }
        if blob.tags:
            headers["x-ms-tag-count"] = str(len(parse_qsl(blob.tags)))
        if blob.copy_id:
            headers |= {"x-ms-copy-id": blob.copy_id, "x-ms-copy-status": "success"}
        if blob.md5:
            headers["x-ms-blob-content-md5" if "x-ms-range" in asked else "Content-MD5"] = blob.md5
        headers |= {_METADATA + key: value for key, value in blob.metadata.items()} | blob.system
        headers |= {
            "x-ms-access-tier": blob.tier or "Hot",
            **({} if blob.tier else {"x-ms-access-tier-inferred": "true"}),
        }
        if blob.directory:
            headers[f"{_METADATA}hdi_isfolder"] = "true"
        if self._typed:
            headers["x-ms-resource-type"] = "directory" if blob.directory else "file"
        data, status = blob.data, 200
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", asked.get("x-ms-range", "")):
            first, last = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
            if first >= len(data):
                return _refusal(416, "InvalidRange", "The range is not satisfiable.")
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        return web.Response(status=status, body=data, headers=headers)

    def _block_list(self, name: str) -> web.Response:
        if name not in self._blocks:
            return _refusal(404, "BlobNotFound", "The specified blob does not exist.")
        blocks = self._blocks[name].items()
        rows = "".join(f"<Block><Name>{each}</Name><Size>{len(data)}</Size></Block>" for each, data in blocks)
        text = f"<BlockList><UncommittedBlocks>{rows}</UncommittedBlocks></BlockList>"
        return web.Response(text=text, content_type="application/xml")

    def _tags(self, name: str) -> web.Response:
        if name not in self.content:
            return _refusal(404, "BlobNotFound", "The specified blob does not exist.")
        pairs = parse_qsl(self.content[name].tags, keep_blank_values=True)
        rows = "".join(f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>" for key, value in pairs)
        text = f'<?xml version="1.0" encoding="utf-8"?><Tags><TagSet>{rows}</TagSet></Tags>'
        return web.Response(text=text, content_type="application/xml")

    # Writing

    def _write(self, name: str, data: bytes, headers: Mapping[str, str]) -> web.Response:
        there, metadata = self.content.get(name), _metadata(headers)
        directory = metadata.pop("hdi_isfolder", "") == "true"
        if there is not None and headers.get("if-none-match") == "*":
            return _refusal(409, "BlobAlreadyExists", "The specified blob already exists.")
        if there is not None and there.directory:
            return _refusal(409, "ResourceTypeMismatch", "The operation is not permitted on a directory.")
        if any(each in self.content and not self.content[each].directory for each in _above(name)):
            return _refusal(409, "PathConflict", "A file is in the path.")
        kind = headers.get("x-ms-blob-content-type", "application/octet-stream")
        blob = Blob(data, metadata, directory, kind, tags=headers.get("x-ms-tags", ""))
        blob.system = {each: headers[f"x-ms-blob-{each}"] for each in _SYSTEM if f"x-ms-blob-{each}" in headers}
        blob.tier = headers.get("x-ms-access-tier", "")
        self._store(name, blob)
        return web.Response(status=201, headers={"ETag": f'"{blob.etag}"', **_told(headers)})

    def _store(self, name: str, blob: Blob) -> Blob:
        for each in (*_above(name), name):
            self._versions += 1
            new = blob if each == name else self.content.get(each, Blob(directory=True))
            new.etag, new.modified = new.etag or f"0x{self._versions:X}", new.modified or self.now
            self.content[each] = new
        return blob

    def _copy(self, name: str, headers: Mapping[str, str]) -> web.Response:
        source = self.content.get(unquote(urlsplit(headers["x-ms-copy-source"]).path)[1:].partition("/")[2])
        if source is None or source.directory:
            return _refusal(404, "BlobNotFound", "The source does not exist.")
        if headers.get("x-ms-source-if-match", f'"{source.etag}"') != f'"{source.etag}"':
            return _refusal(412, "SourceConditionNotMet", "The source is another one.")
        if source.tier == "Archive" and headers.get("x-ms-access-tier") not in _TIERS[:3]:
            return _refusal(409, "BlobArchived", "This operation is not permitted on an archived blob.")
        given = _metadata(headers) or source.metadata
        told = {"x-ms-blob-content-type": source.content_type, "x-ms-tags": headers.get("x-ms-tags", "")}
        told |= {f"x-ms-blob-{each}": value for each, value in source.system.items()}
        told |= {each: headers[each] for each in ("x-ms-access-tier", "if-none-match") if each in headers}
        response = self._write(name, source.data, told)  # tags are not taken over
        if response.status != 201:
            return response
        copied = self.content[name]
        copied.metadata, copied.blob_type, copied.md5 = dict(given), source.blob_type, source.md5
        copied.copy_id = f"copy-{copied.etag}"
        response.headers.update({"x-ms-copy-id": copied.copy_id, "x-ms-copy-status": "success"})
        response.set_status(202)
        return response

    # Deleting

    def _delete(self, name: str) -> web.Response:
        blob = self.content.get(name)
        if blob is None:
            return _refusal(404, "BlobNotFound", "The specified blob does not exist.")
        if blob.directory and any(each.startswith(f"{name}/") for each in self.content):
            return _refusal(409, "DirectoryIsNotEmpty", "This operation is not permitted on a non-empty directory.")
        del self.content[name]
        return web.Response(status=202)

    def _batch(self, data: bytes) -> web.Response:
        """Its requests from the last to the first: the service does them in any order."""
        asked = re.findall(r"Content-ID: (\d+)\r\n\r\nDELETE (\S+) HTTP", data.decode())
        parts = []
        for number, target in reversed(asked):
            name = unquote(target)[1:].partition("/")[2].rstrip("/")
            self.requests.append(("DELETE in a batch", name))
            answer = self._delete(name)
            code = answer.headers.get("x-ms-error-code")
            error = f"x-ms-error-code: {code}\r\n" if code else ""
            parts.append(
                f"--b\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
                f"HTTP/1.1 {answer.status} {answer.reason}\r\n{error}\r\n{answer.text or ''}\r\n"
            )
        headers = {"Content-Type": "multipart/mixed; boundary=b"}
        return web.Response(status=202, text="".join(parts) + "--b--", headers=headers)


def _misplaced(comp: str, headers: Mapping[str, str]) -> web.Response | None:
    """Returns the refusal of a request with headers that its kind does not take, or with an unknown tier."""
    stored = [f"x-ms-blob-{each}" for each in (*_SYSTEM, "content-type")]
    barred = {
        "block": ("x-ms-tags", "x-ms-access-tier", *stored),
        "blocklist": (),
        "": tuple(stored) if "x-ms-copy-source" in headers else (),
    }
    if any(each in headers for each in barred.get(comp, ())):
        return _refusal(400, "UnsupportedHeader", "One of the HTTP headers specified in the request is not supported.")
    if headers.get("x-ms-access-tier", "Hot") not in _TIERS:
        return _refusal(400, "InvalidHeaderValue", "The value of the access tier is not valid.")
    return None


def _count(blob: Blob) -> str:
    return f"<TagCount>{len(parse_qsl(blob.tags))}</TagCount>" if blob.tags else ""


def _order(name: str) -> str:
    """Sorts a slash before every other character, as a tree does."""
    return name.replace("/", "\x01")


def _above(name: str) -> list[str]:
    """The directories that a name is in."""
    steps = name.split("/")
    return ["/".join(steps[:count]) for count in range(1, len(steps))]


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name.lower(): value for name, value in headers.items()}
    return {name[len(_METADATA) :]: value for name, value in found.items() if name.startswith(_METADATA)}


def _told(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksum that was sent, which the service tells back."""
    return {name: headers[name] for name in ("x-ms-content-crc64", "content-md5") if name in headers}


def _refusal(status: int, code: str, text: str) -> web.Response:
    document = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{text}</Message></Error>'
    headers = {"x-ms-error-code": code, **_VERSION}
    return web.Response(status=status, text=document, headers=headers, content_type="application/xml")
