"""Azure's XML, batches and checksums."""

from __future__ import annotations

import base64
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.azure.batch import batch_answers, batch_body
from dxflow_async.providers.azure.checksum import measure
from dxflow_async.providers.azure.xml import BlobListParser, ContainerListParser, block_list
from dxflow_async.providers.common.xml_reader import MalformedXMLError, parse
from dxflow_async.providers.contract import Buffered, Entry
from dxflow_async.transfer.progress import MeteredBody
from tests.providers.in_memory_bodies import body

PROPERTIES = (
    "<Properties><Last-Modified>Tue, 14 Nov 2023 22:13:20 GMT</Last-Modified><Etag>0x8DB</Etag>"
    "<Content-Length>5</Content-Length><Content-Type>text/plain</Content-Type><BlobType>BlockBlob</BlobType></Properties>"
)
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=20
)


def blob(name: str, properties: str = PROPERTIES, metadata: str = "", attributes: str = "") -> str:
    return f"<Blob><Name{attributes}>{name}</Name>{properties}<Metadata>{metadata}</Metadata><OrMetadata/></Blob>"


def listing(rows: str, marker: str = "") -> bytes:
    return (
        "\ufeff<?xml version='1.0' encoding='utf-8'?><EnumerationResults ServiceEndpoint='x' ContainerName='c'>"
        f"<Prefix>a</Prefix><Blobs>{rows}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    ).encode()


def feed(data: bytes, size: int = 1 << 20) -> BlobListParser:
    parser = BlobListParser("c")
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    parser.close()
    return parser


def test_blob() -> None:
    """A blob is an entry, with what its metadata says; a metadata entry may be called like anything."""
    metadata = "<Name>n</Name><Etag>e</Etag><DXFLOW_CRC32C>AAAAAQ==</DXFLOW_CRC32C><mtime>1.5</mtime>"
    (entry,) = feed(listing(blob("a/b", metadata=metadata))).entries
    assert entry == Entry(
        "c/a/b", 5, 1_700_000_000.0, False, "0x8DB", 1, "text/plain", {"name": "n", "etag": "e"}, mtime=1.5
    )


UNUSUAL = [
    blob("sl&#x61;sh", metadata="<mtime>2</mtime>"),
    blob("encoded%EF%BF%BE", attributes=' Encoded="true"'),
    blob("amp", metadata="<a>b&amp;c</a>"),
    blob("empty", metadata="<a/><b></b>"),
    blob("dir", properties="<Properties><ResourceType>directory</ResourceType></Properties>"),
    f"<Blob><Name>versioned</Name><VersionId>1</VersionId>{PROPERTIES}</Blob>",
    "<Blob>\n<Name>lines</Name>\n<Properties>\n<Content-Length>3</Content-Length>\n</Properties>\n</Blob>",
    "<BlobPrefix><Name>prefix/</Name></BlobPrefix>",
]


@given(st.lists(texts.filter(str.isalnum), max_size=6), st.lists(st.sampled_from(UNUSUAL), max_size=4))
def test_plain_blobs_are_read_as_the_parser_reads_them(names: list[str], unusual: list[str]) -> None:
    """What is cut out of a page is what the XML parser finds, also beside blobs that only the parser can read."""
    rows = "".join([*(blob(name, metadata="<A>b</A><mtime>1.5</mtime>") for name in names), *unusual])
    # A comment leaves the whole page to the parser.
    found, wanted = feed(listing(rows)).entries, feed(listing(f"{rows}<!-- -->")).entries
    assert list(map(repr, found)) == list(map(repr, wanted))
    assert {entry.key for entry in found} >= {f"c/{name}" for name in names}


def test_marker() -> None:
    """An empty marker ends the listing."""
    assert feed(listing("", "2!76!x")).marker == "2!76!x"
    assert feed(listing("")).marker is None


@given(st.lists(texts, max_size=5), st.integers(1, 50))
def test_any_names_in_any_pieces(names: list[str], size: int) -> None:
    """However the bytes arrive, names are what they were, in the order of their bytes."""
    found = feed(listing("".join([blob(escape(name)) for name in names])), size).entries
    assert [entry.key for entry in found] == sorted({f"c/{name}" for name in names}, key=str.encode)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_names_that_xml_cannot_hold(name: str) -> None:
    """A name that is marked as encoded is decoded, and the next one, unmarked, is not."""
    rows = blob(quote(name), attributes=" Encoded='true'") + blob("%41%2F", attributes=" Encoded='false'") + blob("%42")
    keys = {entry.key for entry in feed(listing(rows)).entries}
    assert keys == {f"c/{name}", "c/%41%2F", "c/%42"}


def test_directories() -> None:
    """Prefixes are directories, and so are the empty blobs that mark one; each is listed once."""
    empty = "<Properties><Content-Length>0</Content-Length></Properties>"
    typed = "<Properties><Content-Length>0</Content-Length><ResourceType>directory</ResourceType></Properties>"
    prefix = "<BlobPrefix><Name>hier/</Name><Properties><Etag>e</Etag></Properties></BlobPrefix>"
    rows = (
        blob("marker/", empty)
        + blob("hier", typed)
        + prefix
        + blob("old", empty, "<hdi_isfolder>true</hdi_isfolder>")
        + "<BlobPrefix><Name>plain/</Name></BlobPrefix>"
        + blob("data/")
    )
    found = {entry.key: entry.directory for entry in feed(listing(rows)).entries}
    assert found == {"c/data/": False, "c/hier/": True, "c/marker/": True, "c/old/": True, "c/plain/": True}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html/>",
        b"<EnumerationResults>",
        listing("<Blob><Properties><Content-Length>5</Content-Length></Properties></Blob>"),
        listing(blob("a", "<Properties><Content-Length>many</Content-Length></Properties>")),
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><EnumerationResults/>",
    ],
)
def test_refused(data: bytes) -> None:
    """What is no listing is refused."""
    with pytest.raises(MalformedXMLError):
        feed(data)


def test_containers() -> None:
    """Containers are directories; what else has a name is none."""
    parser = ContainerListParser()
    parser.feed(
        b"<EnumerationResults><Containers><Container><Name>one</Name><Metadata><Name>x</Name></Metadata></Container>"
        b"</Containers><NextMarker/></EnumerationResults>"
    )
    parser.close()
    assert parser.entries == [Entry("one/", directory=True)]
    assert parser.marker is None


def test_block_list() -> None:
    """Blocks are listed in the order that is given."""
    document = parse(block_list(["b", "a"]))
    assert document.root == "BlockList"
    assert block_list(["b", "a"]).index(b">b<") < block_list(["b", "a"]).index(b">a<")


# Batches


def answers_to(*parts: str) -> bytes:
    return "".join(f"--b\r\nContent-Type: application/http\r\n{part}\r\n" for part in parts).encode() + b"--b--\r\n"


def test_batch() -> None:
    """Requests are parts with numbers; answers are told apart by them, in whatever order they come."""
    content_type, data = batch_body([("/c/a%20b", {"x-ms-date": "now"}), ("/c/b", {})])
    boundary = content_type.partition("boundary=")[2]
    assert data.count(f"--{boundary}".encode()) == 3
    assert b"Content-ID: 0\r\n\r\nDELETE /c/a%20b HTTP/1.1\r\nx-ms-date: now\r\nContent-Length: 0\r\n\r\n" in data
    error = "<Error><Code>Other</Code><Message>gone\nRequestId:1</Message></Error>"
    said = answers_to(
        f"Content-ID: 1\r\n\r\nHTTP/1.1 404 Not Found\r\nx-ms-error-code: BlobNotFound\r\n\r\n{error}",
        "Content-ID: 0\r\n\r\nHTTP/1.1 202 Accepted\r\nx-ms-request-id: R\r\n",
    )
    first, second = batch_answers("multipart/mixed; boundary=b", said, 2)
    assert (first.status, first.headers["x-ms-request-id"], first.code) == (202, "R", "")
    assert (second.status, second.code, second.message) == (404, "BlobNotFound", "gone\nRequestId:1")


# Checksums


@pytest.mark.parametrize(
    ("data", "crc64"),
    [
        (b"", 0),
        (b"Hello World!", 208604604655264165),
        (b"123456789!@#$%^&*()", 2153758901452455624),
        (bytes.fromhex("C8E11B40D793D1526018"), 3386042136331673945),
        (bytes.fromhex("AABBCCDDEEFF"), 13410969003359324163),
    ],
)
async def test_crc64_is_azures(threads: Threads, data: bytes, crc64: int) -> None:
    """The CRC64 is the one of Azure's SDKs, whose tests have these values."""
    measured = await measure(body(data[:5], data[5:]), threads, md5=False)
    assert measured.header == "x-ms-content-crc64"
    assert base64.b64decode(measured.value) == crc64.to_bytes(8, "little")


@pytest.mark.parametrize("md5", [False, True])
async def test_large_pieces_are_measured_as_small_ones(threads: Threads, *, md5: bool) -> None:
    """In a thread or in the loop, the checksums are the same."""
    data = bytes(range(256)) * 4096
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    whole = await measure(Buffered([memoryview(data)], len(data)), threads, md5=md5)
    assert whole == await measure(body(*pieces), threads, md5=md5)


async def test_measuring_is_no_progress(threads: Threads) -> None:
    """A body that is measured before it is sent does not count as moved."""
    counted: list[int] = []
    metered = MeteredBody(body(b"bytes"), counted.append)
    assert await measure(metered, threads, md5=False) == await measure(body(b"bytes"), threads, md5=False)
    assert counted == []
