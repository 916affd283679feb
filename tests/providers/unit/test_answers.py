"""What a unit's provider does not take from a server: other hosts, names that lead elsewhere, answers of no form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ConfigurationError, NetworkError, ServiceError, StorageError, UnsupportedError
from dxflow_async.providers.contract import ObjectOptions, Part
from dxflow_async.providers.http import HTTP, Call
from dxflow_async.providers.unit.items import _MAX_ITEM_SIZE
from dxflow_async.providers.unit.listing import read_directory
from dxflow_async.providers.unit.protocol import Announced, Endpoint, metadata_header, path_of
from dxflow_async.providers.unit.provider import UnitProvider
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer, hang_up

CALL = Call("UNIT", "read", "/Demo/key")
OPTIONS = ObjectOptions()
SECRET = "secret-of-the-unit"
OURS = Announced(
    frozenset({"creation", "creation-with-upload", "concatenation", "checksum", "termination"}),
    frozenset({"crc32c"}),
    frozenset({"stat", "rename", "directory", "order", "prune", "range", "mtime", "checksum", "group"}),
)


def item(name: Any = "a", **more: Any) -> dict[str, Any]:
    """An item as a server sends it."""
    return {"name": name, "directory": False, "size": 1, "modification": 1.5, **more}


@pytest.fixture
def connect(http: HTTP, threads: Threads) -> Any:
    """Makes providers of a scripted server."""
    http.stall_timeout = 10.0

    def make(server: ScriptedServer, announced: Announced = OURS) -> UnitProvider:
        return UnitProvider("Demo", server.url, SECRET, http, threads, announced)

    return make


@pytest.mark.parametrize(
    "location",
    [
        "http://other.example.com/storage/upload/1",
        "//other.example.com/storage/upload/1",
        "https://127.0.0.1:1/storage/upload/1",
        "http://127.0.0.1:{port}@other.example.com/1",
        "http://[/1",
        "/storage/upload/a b",
        "",
    ],
)
async def test_uploads_elsewhere_are_refused(connect: Any, location: str) -> None:
    """An upload that a server puts on another host, or nowhere, gets no byte, and the other host no request."""
    async with ScriptedServer(answer("201 Created")) as server:
        where = location.format(port=server.port)
        server.reply(answer("201 Created", Location=where, Upload_Offset="0"))
        unit = connect(server, Announced())
        with pytest.raises(ServiceError, match=r"puts the upload|where the upload is"):
            await unit.write("a", body(b"x"), OPTIONS)
        assert {request.method for request in server.requests} <= {"POST", "HEAD", "DELETE"}
        assert [request.method for request in server.requests].count("POST") == 1


@pytest.mark.parametrize(
    ("url", "location", "expected"),
    [
        ("http://host", "/storage/upload/1", "/storage/upload/1"),
        ("http://host", "1?b=2", "/storage/upload/1?b=2"),
        ("http://host/base/", "1", "/base/storage/upload/1"),
        ("http://host", "http://HOST:80/x", "/x"),
        ("https://host", "http://host/x", "/x"),
        ("https://host:8443", "https://host:8443/x", "/x"),
        ("http://host", "http://other/storage/upload/1", None),
        ("http://host", "http://host:81/storage/upload/1", None),
        ("http://host/base", "/storage/upload/1", None),
        ("http://host/base", "/basement/1", None),
        ("http://host", "http://[/1", None),
        ("http://host", "/a b", None),
    ],
)
def test_addresses_of_uploads(url: str, location: str, expected: str | None) -> None:
    """Relative and absolute addresses at the unit's own host are taken, whatever a proxy made of the scheme."""
    assert Endpoint(url).own_address(location) == expected


@pytest.mark.parametrize(
    ("url", "location", "expected"),
    [
        ("http://host", "http://inner:1080/storage/upload/1?a=b", ["/storage/upload/1?a=b"]),
        ("http://host", "http://inner/files/1", ["/files/1", "/storage/upload/1"]),
        ("http://host/base", "http://inner/files/1", ["/base/files/1", "/base/storage/upload/1"]),
        ("http://host/base", "/files/1", ["/base/files/1", "/base/storage/upload/1", "/files/1"]),
        ("http://host/base", "http://inner/base/storage/upload/1", ["/base/storage/upload/1"]),
        ("http://host", "http://inner/", ["/"]),
        ("http://host", "http://inner/storage/items/?path=/a", ["/storage/upload/items?path=/a"]),
        ("http://host/base", "http://inner/base/storage/download/", ["/base/storage/upload/download"]),
        ("http://host", "http://[/1", []),
    ],
)
def test_likely_addresses_of_uploads(url: str, location: str, expected: list[str]) -> None:
    """An address elsewhere leads to those at the unit's own origin that may be meant."""
    assert Endpoint(url).likely_addresses(location) == expected


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect"])
async def test_redirects_are_not_followed(connect: Any, status: str) -> None:
    """A unit that sends elsewhere is an error: the secret goes nowhere else."""
    async with ScriptedServer(answer("200 OK")) as other:
        async with ScriptedServer(answer(status, Location=f"{other.url}/x")) as server:
            with pytest.raises(ServiceError, match="redirects"):
                await connect(server).read("a")
        assert other.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        [item("..")],
        [item("a/../../b")],
        [item(".")],
        [item("")],
        [item("/etc/passwd")],
        [item("a\0b")],
        [item("a//b")],
        [item(raw="%2E%2E")],
        [item(raw="a%2F%2E%2E%2Fb")],
        [item("\ud800")],
        [item(1)],
        [item(None)],
        [item(size=-1)],
        [item(size="1")],
        [item(size=1.5)],
        [item(size=True)],
        [item(directory="yes")],
        [item(modification=None)],
        [item(modification="x")],
        [item(etag=1)],
        [item(checksum=[])],
        [item(raw=1)],
        [{}],
    ],
    ids=repr,
)
@pytest.mark.parametrize("recursive", [False, True])
async def test_listings_that_are_none(connect: Any, wrong: Any, *, recursive: bool) -> None:
    """Names that lead elsewhere, and anything of another form, are refused; the next answer may be the unit's."""
    async with ScriptedServer(answer(body=json.dumps(wrong).encode())) as server:
        with pytest.raises(ServiceError) as raised:
            await connect(server).list_page("", recursive=recursive)
        assert raised.value.retryable
        with pytest.raises(ServiceError):
            await connect(server, Announced()).list_page("", recursive=recursive)


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("wrong", [[1], ["a"], [[]], {}, {"list": []}, "text", None], ids=repr)
async def test_answers_in_a_listing_s_place(connect: Any, wrong: Any, *, recursive: bool) -> None:
    """What is no list of items is not the unit's answer: it is refused, and may be asked for again."""
    async with ScriptedServer(answer(body=json.dumps(wrong).encode())) as server:
        for announced in (OURS, Announced()):
            with pytest.raises(ServiceError, match="not one of the service") as raised:
                await connect(server, announced).list_page("", recursive=recursive)
            assert raised.value.retryable


@pytest.mark.parametrize(
    "text",
    ["", "[", "[{}", "]", "[,]", "[1,]", "nonsense", '[{"name": "a"', "[{},,{}]", "[]]", "[] []", "\xff\xfe", "<html>"],
)
async def test_texts_that_are_no_listing(connect: Any, text: str) -> None:
    """What is no JSON list is refused."""
    async with ScriptedServer(answer(body=text.encode("latin-1"))) as server:
        with pytest.raises(ServiceError, match=r"JSON|form"):
            await connect(server).list_page("", recursive=False)


async def test_names_below_are_not_taken_in_a_directory(connect: Any) -> None:
    """The list of one directory names what is in it, and nothing further down."""
    async with ScriptedServer(answer(body=json.dumps([item("a/b")]).encode())) as server:
        with pytest.raises(ServiceError, match="no name"):
            await connect(server).list_page("", recursive=False)
        assert [entry.key for entry in (await connect(server).list_page("", recursive=True)).entries] == ["a/b"]


async def test_items_without_end(connect: Any) -> None:
    """An item that does not end is given up before it fills the memory."""
    async with ScriptedServer(answer(body=b'[{"name": "' + b"x" * (4 * _MAX_ITEM_SIZE))) as server:
        with pytest.raises(ServiceError, match="JSON"):
            await connect(server).list_page("", recursive=False)


async def test_directories_that_are_too_large(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of more entries than memory should hold is refused, where it has to be put in order here."""
    monkeypatch.setattr("dxflow_async.providers.unit.listing._MAX_DIRECTORY", 100)
    listing = json.dumps([item(str(number)) for number in range(101)]).encode()
    async with ScriptedServer(answer(body=listing)) as server:
        with pytest.raises(UnsupportedError, match="100"):
            await read_directory(connect(server)._requests, CALL, "", times=False)


async def test_circles_of_directories_end(connect: Any) -> None:
    """A server whose directories lie in themselves is not followed for ever."""
    listing = json.dumps([item("d" * 200, directory=True)]).encode()
    async with ScriptedServer(answer(body=listing)) as server:
        with pytest.raises(UnsupportedError, match="deeper"):
            await connect(server, Announced()).list_page("", recursive=True)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"name": 1}', b"nonsense", b"[" * 50_000])
async def test_items_that_are_none(connect: Any, text: bytes) -> None:
    """One item of another form is refused."""
    async with ScriptedServer(answer(body=text)) as server:
        with pytest.raises(ServiceError):
            await connect(server).stat("a")


@pytest.mark.parametrize(
    ("reply", "start", "end"),
    [
        (answer("206 Partial Content", b"xx", Content_Range="bytes 5-6/10"), 3, 5),
        (answer("206 Partial Content", b"xxx", Content_Range="bytes 3-4/10"), 3, 5),
        (answer("206 Partial Content", b"xx"), 3, 5),
    ],
)
async def test_other_ranges_are_refused(connect: Any, reply: bytes, start: int, end: int) -> None:
    """Bytes from elsewhere in the file are not taken for those that were asked for."""
    async with ScriptedServer(reply) as server:
        with pytest.raises(ServiceError):
            await connect(server).read("a", start, end)


@pytest.mark.parametrize("offset", ["", "x", "-1", "9" * 30, "1"])
async def test_offsets_that_cannot_be(connect: Any, offset: str) -> None:
    """A server that is at an impossible offset has not stored the file."""
    async with ScriptedServer(answer("201 Created", Location="/u", Upload_Offset=offset)) as server:
        with pytest.raises(ServiceError):
            await connect(server, Announced(OURS.tus - {"termination"})).write("a", body(b"12345"), OPTIONS)


async def test_errors_have_the_request_id(connect: Any) -> None:
    """A refusal names the request, as the server's log does."""
    refused = answer("400 Bad Request", b'{"error": {"code": "bad", "message": "no"}}', x_request_id="REQ1")
    async with ScriptedServer(refused) as server:
        with pytest.raises(StorageError, match="request REQ1") as raised:
            await connect(server).stat("a")
        assert raised.value.request_id == "REQ1"


@pytest.mark.parametrize("reached", ["0", "2", "4"])
async def test_bytes_that_a_server_did_not_take(connect: Any, reached: str) -> None:
    """An upload of which a server says that it is elsewhere than where the bytes end is not taken for done."""
    created = answer("201 Created", Location="/storage/upload/1", Upload_Offset="0")
    looked = answer("200 OK", Upload_Offset=reached, Upload_Length="3")
    async with ScriptedServer(created, answer("204 No Content", Upload_Offset=reached), looked) as server:
        with pytest.raises(StorageError):
            await connect(server, Announced()).write("a", body(b"abc"), OPTIONS)


async def test_an_offset_behind_the_end(connect: Any) -> None:
    """An upload that is further than it is long is not gone on with."""
    created = answer("201 Created", Location="/storage/upload/u")
    async with ScriptedServer(created, hang_up, answer("200 OK", Upload_Offset="99")) as server:
        upload = await connect(server).start_upload("a", 5, OPTIONS)
        with pytest.raises(NetworkError):
            await upload.write_part(Part(1, 0, 5), body(b"12345"))
        with pytest.raises(ServiceError, match="99"):
            await upload.write_part(Part(1, 0, 5), body(b"12345"))


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"])
async def test_a_server_that_is_not_to_be_asked(http: HTTP, threads: Threads, status: str) -> None:
    """One that does not know the question can do the core."""
    async with ScriptedServer(answer(status)) as server:
        unit = await connect_unit("Demo", server.url, SECRET, http, threads)
        assert (unit.features.max_parts, unit.features.checksum) == (1, False)


async def test_a_server_that_fails_when_asked(http: HTTP, threads: Threads) -> None:
    """One that fails is not taken for one that can the core only: it may be asked again."""
    async with ScriptedServer(answer("500 Internal Server Error")) as server:
        with pytest.raises(StorageError) as raised:
            await connect_unit("Demo", server.url, SECRET, http, threads)
        assert raised.value.retryable


async def test_secrets_that_are_two_headers(http: HTTP, threads: Threads) -> None:
    """A secret with a line break in it does not become a header of its own, and is not shown."""
    async with ScriptedServer(answer()) as server:
        unit = UnitProvider("Demo", server.url, "a\r\nx-evil: 1", http, threads)
        with pytest.raises((StorageError, ConfigurationError)) as raised:
            await unit.read("a")
        assert "evil" not in str(raised.value)
        assert server.requests == []


def test_paths_and_metadata() -> None:
    """Paths and names are bytes on the wire, also those that are no UTF-8."""
    assert path_of(CALL, "volume") == "/volume/volume"
    assert metadata_header({"path": "/", "name": "\udcff"}) == "path Lw==,name /w=="


async def test_directory_that_may_not_be_listed(connect: Any) -> None:
    """In the walk of a server that lists one directory at a time it is unreadable, and the rest is listed."""
    top = json.dumps([item("a"), item("locked", directory=True), item("z")]).encode()
    denied = answer("403 Forbidden", b'{"detail": "no"}')
    async with ScriptedServer(answer(body=top), denied) as server:
        page = await connect(server, Announced()).list_page("", recursive=True)
    assert [(entry.key, entry.read_error) for entry in page.entries] == [("a", None), ("locked/", "403"), ("z", None)]
    assert "no" in page.entries[1].unreadable
    async with ScriptedServer(answer(body=top), answer("500 Oops")) as server:
        with pytest.raises(ServiceError):  # which may pass: the listing is tried again
            await connect(server, Announced()).list_page("", recursive=True)


@pytest.mark.parametrize("wrong", ["4755", "-600", "", "rwx", 33188, -1, 10**30, 1.5, True, [], {}, "0" * 9999])
async def test_modes_that_cannot_be_are_not_taken(connect: Any, wrong: Any) -> None:
    """What a server tells in a mode's place is left out, and the item is taken without."""
    told = json.dumps(item(mode=wrong)).encode()
    ours = Announced(OURS.tus, OURS.algorithms, OURS.ours | {"mode"})
    async with ScriptedServer(answer(body=told)) as server:
        assert (await connect(server, ours).stat("a")).mode is None
    async with ScriptedServer(answer(body=b"x", Dx_Mode=str(wrong)[:4000])) as server:
        reading = await connect(server, ours).read("a")
        assert reading.entry.mode is None
        await reading.aclose()


async def test_modes_are_for_servers_that_announce_them(connect: Any) -> None:
    """What another server says of modes is not taken, and it is told none."""
    told = json.dumps(item(mode="0600")).encode()
    stored = answer("201 Created", Location="/storage/upload/1", Upload_Offset="1", Tus_Resumable="1.0.0")
    for announced, expected in ((OURS, None), (Announced(OURS.tus, OURS.algorithms, OURS.ours | {"mode"}), 0o600)):
        async with ScriptedServer(answer(body=told), stored) as server:
            unit = connect(server, announced)
            assert ((await unit.stat("a")).mode, unit.features.modes) == (expected, expected is not None)
            await unit.write("a", body(b"x"), ObjectOptions(mode=0o4600))
            sent = server.requests[-1].headers["upload-metadata"]
            assert ("mode MDYwMA==" in sent) == unit.features.modes
