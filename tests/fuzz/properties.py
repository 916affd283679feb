"""What must hold for any input that comes from outside; each a function that hypothesis calls."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dxflow_async.checksum import combine, crc32c
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import ConfigurationError, ServiceError, StorageError, UnsafePathError, UnsupportedError
from dxflow_async.models import Item
from dxflow_async.paths import check_key, local_name, parse_location
from dxflow_async.providers.aws.errors import parse_error as parse_aws_error
from dxflow_async.providers.aws.xml import ListParser
from dxflow_async.providers.azure import errors as azure_errors
from dxflow_async.providers.azure.batch import MalformedBatchError, batch_answers
from dxflow_async.providers.azure.xml import BlobListParser, ContainerListParser
from dxflow_async.providers.common.fields import timestamp_of
from dxflow_async.providers.common.xml_reader import MalformedXMLError
from dxflow_async.providers.common.xml_reader import parse as parse_xml
from dxflow_async.providers.contract import Features, Part
from dxflow_async.providers.gcp import errors as gcp_errors
from dxflow_async.providers.gcp.objects import entries_of
from dxflow_async.providers.gcp.requests import parsed
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit import errors as unit_errors
from dxflow_async.providers.unit.items import _Text, entry_of
from dxflow_async.providers.unit.protocol import Announced
from dxflow_async.security.redaction import printable, redacted
from dxflow_async.server.unit.upload_metadata import UploadMetadata
from dxflow_async.storage.listing import ListingCache
from dxflow_async.transfer.plan import part_size_for, split

__all__ = ["PROPERTIES", "CachedListings"]

PROPERTIES: dict[str, Callable[[settings], None]] = {}
"""By name: what holds a property against inputs, as many as the settings say."""

_CALL = Call("TEST", "read", "/bucket/key")


def _holds(*inputs: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def hold(property_: Callable[..., None]) -> Callable[..., None]:
        PROPERTIES[property_.__name__] = lambda chosen: chosen(given(*inputs)(property_))()
        return property_

    return hold


texts = st.text(max_size=60)
names = st.sampled_from(
    [
        "ListBucketResult",
        "EnumerationResults",
        "Contents",
        "CommonPrefixes",
        "Prefix",
        "Key",
        "Size",
        "ETag",
        "LastModified",
        "IsTruncated",
        "NextContinuationToken",
        "Blobs",
        "Blob",
        "BlobPrefix",
        "Name",
        "Properties",
        "Metadata",
        "Content-Length",
        "Last-Modified",
        "Etag",
        "ResourceType",
        "NextMarker",
        "Containers",
        "Container",
        "Error",
        "Code",
        "Message",
        "mtime",
        "hdi_isfolder",
    ]
)
values = st.one_of(
    texts,
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(["true", "directory", "%ff%00", "9999999999999-99", "0001-01-01T00:00:00", "nan", "\u00b2", ""]),
    st.datetimes().map(lambda moment: moment.isoformat()),
)
elements = st.recursive(
    st.tuples(names, st.dictionaries(st.sampled_from(["Encoded", "xmlns"]), values, max_size=1), values),
    lambda inner: st.tuples(names, st.just({}), st.lists(inner, max_size=5)),
    max_leaves=12,
)
junk = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [
            b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
            b"<a>" * 40,
            b"&amp;&#0;&b;",
            b"<?xml version='1.0' encoding='utf-7'?>",
            b"]]>",
            b"\xff\xfe<\0a\0>\0",
        ]
    ),
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | values,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            texts
            | st.sampled_from(
                [
                    "name",
                    "size",
                    "items",
                    "prefixes",
                    "nextPageToken",
                    "error",
                    "errors",
                    "reason",
                    "message",
                    "code",
                    "metadata",
                    "mtime",
                    "generation",
                    "crc32c",
                    "timeCreated",
                    "directory",
                    "modification",
                    "etag",
                    "checksum",
                    "unreadable",
                    "raw",
                    "mode",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)
headers = st.dictionaries(
    st.sampled_from(
        [
            "x-ms-error-code",
            "retry-after",
            "tus-max-size",
            "tus-extension",
            "dx-extension",
            "dx-directory-mode",
            "tus-checksum-algorithm",
            "x-goog-hash",
        ]
    ),
    values,
    max_size=4,
)


def _xml(tree: tuple[str, Mapping[str, str], Any]) -> str:
    from xml.sax.saxutils import escape, quoteattr

    name, attributes, content = tree
    inner = "".join(map(_xml, content)) if isinstance(content, list) else escape(content)
    return f"<{name}{''.join(f' {key}={quoteattr(value)}' for key, value in attributes.items())}>{inner}</{name}>"


@_holds(elements, junk, st.integers(0, 2000), st.integers(1, 50), st.booleans())
def xml_is_read_or_refused(
    tree: tuple[str, Mapping[str, str], Any], noise: bytes, place: int, step: int, spoil: bool
) -> None:
    """Any XML, whole or spoilt, in pieces of any size, is a listing or a MalformedXMLError, with sizes that can be."""
    data = _xml(tree).encode("utf-8", "surrogatepass")
    if spoil:
        data = data[:place] + noise + data[place:]
    for parser in (ListParser("bucket"), BlobListParser("container"), ContainerListParser()):
        with contextlib.suppress(MalformedXMLError):
            for start in range(0, len(data), step):
                parser.feed(data[start : start + step])
            parser.close()
            assert all(entry.size >= 0 for entry in parser.entries)
    with contextlib.suppress(MalformedXMLError):
        parse_xml(data)
    for parse in (parse_aws_error, lambda body: azure_errors.parse_error({}, body), gcp_errors.parse_error):
        assert all(isinstance(text, str) for text in parse(data))


@_holds(documents, junk, st.booleans(), headers)
def json_is_read_or_refused(document: Any, noise: bytes, spoil: bool, said: dict[str, str]) -> None:
    """Any JSON, or what is none, is a listing of Google's, an error's reason, or one of our errors."""
    data = json.dumps(document).encode("utf-8", "surrogatepass")
    if spoil:
        data = noise + data
    with contextlib.suppress(ServiceError):
        parsed(_CALL, json.loads, data)
    with contextlib.suppress(ServiceError):
        entries = parsed(_CALL, entries_of, "bucket", document, "hidden/")
        assert all(entry.size >= 0 for entry in entries)
    for module in (gcp_errors, unit_errors):
        code, message = module.parse_error(data)
        assert isinstance(module.error_of(_CALL, 503, code, message, said), StorageError)
    code, message = azure_errors.parse_error(said, data)
    assert isinstance(azure_errors.error_of(_CALL, 503, code, message, said), StorageError)


@_holds(st.lists(documents, max_size=5), junk, st.integers(0, 400), st.booleans(), st.integers(1, 40))
def unit_items_are_read_or_refused(items: list[Any], noise: bytes, place: int, spoil: bool, step: int) -> None:
    """Whatever a unit lists is items with names that are some, or refused, in pieces of any size."""
    text = json.dumps(items)
    if spoil:
        text = text[:place] + noise.decode("latin-1") + text[place:]
    reader, found = _Text(), []
    with contextlib.suppress(ValueError, RecursionError):
        for start in range(0, len(text), step):
            found += reader.feed(text[start : start + step])
        found += reader.feed("", final=True)
    for item in found:
        with contextlib.suppress(StorageError):
            entry = entry_of(_CALL, item, "dir/", times=True)
            assert entry.key.startswith("dir/")
            assert entry.size >= 0
            assert {"", ".", ".."}.isdisjoint(entry.key.removesuffix("/").split("/"))


@_holds(st.one_of(values, st.lists(st.tuples(texts, st.binary(max_size=20)), max_size=4)), headers)
def tus_headers_are_read_or_refused(metadata: Any, said: dict[str, str]) -> None:
    """Any Upload-Metadata is pairs that can be written again, or refused; any announcement can be read."""
    if isinstance(metadata, list):
        metadata = ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in metadata)
    with contextlib.suppress(StorageError):
        found = UploadMetadata.parse(metadata)
        for value in found.pairs.values():
            value.encode("utf-8", "surrogateescape")
        with contextlib.suppress(StorageError):
            upload = found.upload("id", 5, "")
            assert not upload.path.startswith("/")
            assert ".." not in upload.path.split("/")
    announced = Announced.parse(said)
    assert announced.max_size is None or announced.max_size >= 0


@_holds(
    st.binary(max_size=300), st.integers(0, 3), st.lists(st.tuples(values, st.integers(0, 999), values), max_size=3)
)
def batch_answers_are_read_or_refused(noise: bytes, count: int, parts: list[tuple[str, int, str]]) -> None:
    """Any answer to a batch of deletions has as many answers as were asked for, or is refused."""
    body = b"".join(
        f"--b\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 {status} x\r\n\r\n{text}".encode("utf-8", "replace")
        for number, status, text in parts
    )
    for data in (noise, b"--b\r\n" + noise, body, body + b"--b--"):
        with contextlib.suppress(MalformedBatchError):
            assert len(batch_answers("multipart/mixed; boundary=b", data, count)) in (1, count)


@_holds(texts, st.one_of(texts, values))
def names_and_places_are_understood_or_refused(text: str, date: str) -> None:
    """Any text is a place or a ConfigurationError; a local name stays below; what is shown commands no terminal."""
    with contextlib.suppress(ConfigurationError):
        place = parse_location(text)
        assert place.provider in ("LOCAL", "URL") or place.path.startswith("/")
    with contextlib.suppress(UnsafePathError):
        assert {"", ".", ".."}.isdisjoint(local_name(text).split("/"))
    with contextlib.suppress(UnsafePathError):
        check_key(text, provider="AWS", operation="write")
    assert "\x1b" not in printable(text)
    assert redacted(printable(text)).isprintable() or not text.isascii()
    assert isinstance(timestamp_of(date), float)


settings_names = st.sampled_from(
    [
        "hub",
        "embedded",
        "max_concurrency",
        "max_memory_bytes",
        "part_size",
        "stall_timeout",
        "min_speed",
        "ca_bundle",
        "nonsense",
        "endpoint",
        "region",
        "secret_key",
        "access_key",
        "addressing",
        "account",
        "account_key",
        "sas_token",
        "private",
    ]
)
toml_values = st.one_of(texts.map(json.dumps), st.integers().map(str), st.floats().map(str), st.just("true"), texts)


@_holds(
    st.lists(st.tuples(settings_names, toml_values), max_size=4),
    st.sampled_from(["", "[aws]\n", "[azure]\n", "[gcp]\n"]),
)
def settings_are_read_or_refused(pairs: list[tuple[str, str]], section: str) -> None:
    """Any config.toml is settings, or a ConfigurationError that shows no secret."""
    text = section + "".join(f"{name} = {value}\n" for name, value in pairs)
    with TemporaryDirectory() as home:
        path = Path(home) / "config.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        path.chmod(0o600)
        with contextlib.suppress(ConfigurationError):
            Settings.load(home=Path(home))


@_holds(
    st.integers(0, 1 << 44),
    st.integers(1, 1 << 30),
    st.integers(1, 20_000),
    st.integers(1, 1 << 24),
    st.integers(1, 1 << 34),
)
def plans_cover_everything(size: int, wanted: int, max_parts: int, smallest: int, largest: int) -> None:
    """The parts of any object follow each other without a gap, keep the provider's limits, and make up its size."""
    features = Features(max_parts=max_parts, min_part_size=smallest, max_part_size=largest, max_size=1 << 43)
    try:
        part_size = part_size_for(size, wanted, features)
    except UnsupportedError:
        return
    assert smallest <= part_size <= largest
    count = max(1, -(-size // part_size))
    assert count <= max_parts
    position = 0
    for number, part in zip(range(1, min(count, 2000) + 1), split(size, part_size), strict=False):
        assert (part.number, part.offset) == (number, position)
        assert part.size == min(part_size, size - position)
        position += part.size
    assert position == size or count > 2000


@_holds(st.binary(max_size=3000), st.integers(1, 700), st.randoms(use_true_random=False))
def parts_make_the_whole(data: bytes, part_size: int, chance: random.Random) -> None:
    """Parts that arrive in any order, some of them twice, are the object again; their checksums make the whole's."""
    parts: list[Part] = list(split(len(data), part_size))
    arriving = parts + [part for part in parts if chance.random() < 0.3]
    chance.shuffle(arriving)
    target, receipts = bytearray(len(data)), {}
    for part in arriving:
        piece = data[part.offset : part.offset + part.size]
        target[part.offset : part.offset + part.size] = piece
        receipts[part.number] = (crc32c(piece), part.size)
    assert bytes(target) == data
    assert combine(receipts[number] for number in sorted(receipts)) == crc32c(data)


segments = st.sampled_from(["a", "b", "c"])
paths = st.lists(segments, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
directories = paths.map(lambda path: f"{path}/") | st.just("/")


class CachedListings(RuleBasedStateMachine):
    """After any changes, what the cache says of a directory is what a model of the storage holds, or nothing."""

    area = ("AWS", "private")

    @initialize(max_items=st.integers(0, 12))
    def begin(self, max_items: int) -> None:
        self.max_items = max_items
        self.cache = ListingCache(max_items)
        self.stored: set[str] = set()

    @rule(path=paths)
    def store(self, path: str) -> None:
        self.stored.add(path)
        self.cache.added(self.area, Item(_name(path), path))

    @rule(path=paths | directories.filter(lambda path: path != "/"))
    def remove(self, path: str) -> None:
        self.stored -= {each for each in self.stored if each == path or (path.endswith("/") and each.startswith(path))}
        self.cache.removed(self.area, path)

    @rule(path=directories)
    def look(self, path: str) -> None:
        items = [Item(_name(each), each, each.endswith("/")) for each in _children(self.stored, path)]
        self.cache.put(self.area, path, items)

    @rule(path=paths)
    def doubt(self, path: str) -> None:
        self.cache.doubted(self.area, path)

    @rule(path=directories)
    def forget(self, path: str) -> None:
        self.cache.drop_below(self.area, path)

    @invariant()
    def counted(self) -> None:
        kept = self.cache._listings
        assert self.cache._count == sum(map(len, kept.values()))
        assert self.cache._count <= self.max_items

    @invariant()
    def true(self) -> None:
        for _, directory in list(self.cache._listings):
            seen = {item.path for item in self.cache.get(self.area, directory) or ()}
            there = _children(self.stored, directory)
            # A directory that nothing is in any more may be shown until it is listed again.
            assert there <= seen
            assert all(path.endswith("/") for path in seen - there)


def _children(stored: set[str], directory: str) -> set[str]:
    """What a listing of a directory tells: objects, and prefixes with a slash."""
    found = set()
    for path in stored:
        if path.startswith(directory):
            head, slash, _ = path[len(directory) :].partition("/")
            found.add(directory + head + slash)
    return found


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
