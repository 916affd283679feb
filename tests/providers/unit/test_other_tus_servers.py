"""What other tus servers, and proxies in front of them, answer: other statuses, texts, headers and questions for CORS.

Sources: https://tus.io/protocols/resumable-upload, and the issues of https://github.com/tus/tusd (679),
https://github.com/tus/tus-node-server (134, 469) and https://github.com/nginx-proxy/nginx-proxy (183).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import AccessDeniedError, NotFoundError, ServiceError, StorageError, UnsupportedError
from dxflow_async.providers.contract import ObjectOptions, Part
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.transfer.plan import PartPolicy
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body
from tests.providers.unit.connected_client import connected
from tests.scripted_server import ScriptedServer, answer
from tests.servers.odd_tus import OddTus

KiB, MiB = 1 << 10, 1 << 20
DATA = random.Random(7).randbytes(11 * MiB + 7)
OPTIONS = ObjectOptions()
PARTS = "creation,concatenation,termination"


@pytest.mark.parametrize(
    "options",
    [
        (403, {}, "CORS: the header Origin is missing"),
        (400, {}, ""),
        (401, {"WWW-Authenticate": "Basic"}, "no credentials"),
        (204, {"Access-Control-Allow-Origin": "*"}, ""),
        (200, {"Access-Control-Allow-Methods": "GET, POST"}, "ok"),
        (200, {"Allow": "GET,HEAD,POST,PATCH"}, "GET,HEAD,POST,PATCH"),
    ],
)
async def test_options_that_something_else_answers(tmp_path: Path, options: tuple[int, dict[str, str], str]) -> None:
    """Where something answers or refuses OPTIONS for CORS, only the core is used, and a file is stored."""
    server = OddTus(extensions=PARTS, options=options)
    async with connected(server, tmp_path) as client:
        assert client.unit.features.max_parts == 1
        await client.send(DATA)
        assert server.files["file"] == DATA


async def test_options_that_a_page_answers(http: HTTP, threads: Threads) -> None:
    """The page of a portal or a firewall says nothing about the unit: it is an error."""
    page = answer("403 Forbidden", b"<html>blocked</html>", Content_Type="text/html")
    async with ScriptedServer(page) as server:
        with pytest.raises(AccessDeniedError):
            await connect_unit("Odd", server.url, "s" * 32, http, threads)


@pytest.mark.parametrize("status", [403, 404, 410])
@pytest.mark.parametrize("extensions", ["creation,termination", PARTS])
async def test_uploads_that_are_gone(tmp_path: Path, status: int, extensions: str) -> None:
    """An upload that is gone (404, 410, or 403 for HEAD) is begun anew, while it is sent and when it is resumed."""
    server = OddTus(extensions=extensions, gone_status=status)
    async with connected(server, tmp_path) as client:
        upload = await client.unit.start_upload("file", 5, OPTIONS)
        await upload.write_part(Part(1, 0, 5), body(b"12345"))
        server.uploads.clear()
        await upload.write_part(Part(1, 0, 5), body(b"12345"))
        receipt = await upload.write_part(Part(1, 0, 5), body(b"67890"))
        await upload.finish([receipt], None)
        assert server.files["file"] == b"67890"
        server.uploads.clear()
        if extensions == PARTS:
            _, kept = await client.unit.resume_upload("file", upload.id, [receipt], OPTIONS)
            assert list(kept) == []
        else:
            with pytest.raises(NotFoundError):
                await client.unit.resume_upload("file", upload.id, [], OPTIONS)


@pytest.mark.parametrize("extensions", ["creation,expiration", PARTS])
async def test_uploads_that_have_expired(tmp_path: Path, extensions: str) -> None:
    """An upload that is past its `Upload-Expires` is begun anew and gets no bytes, and one that is not goes on."""
    server = OddTus(extensions=extensions, stores=2, expires=3600)
    async with connected(server, tmp_path) as client:
        upload = await client.unit.start_upload("file", 5, OPTIONS)
        begun = server.numbers
        receipt = await upload.write_part(Part(1, 0, 5), body(b"12345"))
        assert server.numbers - begun == (extensions == PARTS)
        other = await client.unit.start_upload("other", 5, OPTIONS)
        server.errors = [(400, "refused")]
        with pytest.raises(StorageError):
            await other.write_part(Part(1, 0, 5), body(b"12345"))
        for stored in server.uploads.values():
            stored.expires = 1.0
        if extensions == PARTS:
            _, kept = await client.unit.resume_upload("file", upload.id, [receipt], OPTIONS)
            assert list(kept) == []
        else:
            with pytest.raises(NotFoundError, match="expired"):
                await client.unit.resume_upload("other", other.id, [], OPTIONS)
        server.requests.clear()
        server.stores = None
        receipt = await other.write_part(Part(1, 0, 5), body(b"67890"))
        assert server.methods() == ["HEAD", "POST", "PATCH"]
        await other.finish([receipt], None)
        assert server.files["other"] == b"67890"


@pytest.mark.parametrize("extensions", ["creation,termination", PARTS])
async def test_lengths_that_are_not_told(tmp_path: Path, extensions: str) -> None:
    """HEAD without a length, as for a deferred one, is enough to go on; a stream of unknown length is begun anew."""
    server = OddTus(extensions=extensions, length_unsaid=True, stores=MiB)
    async with connected(server, tmp_path) as client:
        await client.send(DATA)
        assert server.files["file"] == DATA
        if extensions != PARTS:
            upload = await client.unit.start_upload("other", 5, OPTIONS)
            count = len(server.uploads)
            with pytest.raises(NotFoundError, match="length"):
                await client.unit.resume_upload("other", upload.id, [], OPTIONS)
            assert len(server.uploads) == count - 1


@pytest.mark.parametrize("extensions", ["creation,termination", PARTS])
async def test_headers_that_a_proxy_sends_twice(tmp_path: Path, extensions: str) -> None:
    """Headers that are there twice with the same value are that value."""
    server = OddTus(extensions=extensions, doubled=True)
    async with connected(server, tmp_path) as client:
        await client.send(DATA)
        assert server.files["file"] == DATA
        assert sum(size for _, size in server.requests) == len(DATA)


async def test_checksums_that_do_not_match(tmp_path: Path) -> None:
    """A body that arrives changed (460) is sent again, and nothing else is."""
    server = OddTus(extensions="creation,termination,checksum", mismatches=1)
    async with connected(server, tmp_path) as client:
        small = body(b"12345")
        with pytest.raises(StorageError) as raised:
            await client.unit.write("memory", small, OPTIONS)
        assert raised.value.status == 460
        assert raised.value.retryable
        await client.unit.write("memory", small, OPTIONS)
        assert server.files["memory"] == b"12345"


@pytest.mark.parametrize(
    "error",
    [
        (400, "ERR_UPLOAD_INTERRUPTED: upload has been interrupted by another request for this upload resource\n"),
        (423, "ERR_UPLOAD_LOCKED: file currently locked\n"),
        (500, "ERR_READ_TIMEOUT: timeout while reading request body\n"),
        (500, "ERR_CONNECTION_RESET: connection reset by peer\n"),
        (503, "ERR_SERVER_SHUTDOWN: request has been interrupted because the server is shutting down\n"),
        (409, "ERR_MISMATCHED_OFFSET: mismatched offset\n"),
    ],
)
@pytest.mark.parametrize("extensions", ["creation,termination", PARTS])
async def test_failures_of_tusd_that_pass(tmp_path: Path, error: tuple[int, str], extensions: str) -> None:
    """Failures that tusd reports in text and that pass by themselves are tried again."""
    server = OddTus(extensions=extensions, errors=[error])
    async with connected(server, tmp_path) as client:
        await client.send(DATA)
        assert server.files["file"] == DATA


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ((413, "ERR_MAX_SIZE_EXCEEDED: maximum size exceeded\n"), "nothing of that size"),
        ((413, "ERR_SIZE_EXCEEDED: upload's size exceeded\n"), "nothing of that size"),
        ((412, "ERR_UNSUPPORTED_VERSION: missing, invalid or unsupported Tus-Resumable header\n"), "another version"),
        ((403, "ERR_MODIFY_FINAL: modifying a final upload is not allowed\n"), "start the upload again"),
    ],
)
async def test_refusals_of_tusd(tmp_path: Path, error: tuple[int, str], words: str) -> None:
    """What tusd refuses for good is an error at once, with its code, and bodies do not become smaller for it."""
    server = OddTus(errors=[error] * 10)
    async with connected(server, tmp_path) as client:
        with pytest.raises(StorageError, match=words) as raised:
            await client.send(DATA[: 300 * KiB])
        assert raised.value.code == error[1].partition(":")[0]
        assert server.methods().count("PATCH") == 1


async def test_servers_of_another_version(http: HTTP, threads: Threads) -> None:
    """A 412 that names the versions of the server is about the protocol, not about a file that was replaced."""
    async with ScriptedServer(answer("412 Precondition Failed", Tus_Version="0.2.2")) as server:
        with pytest.raises(UnsupportedError, match="another version of tus"):
            await UnitProvider("Odd", server.url, "s" * 32, http, threads).write("a", body(b"x"), OPTIONS)


@pytest.mark.parametrize("offset", ["5, 6", "5,", ", 5"])
async def test_offsets_that_contradict_each_other(tmp_path: Path, offset: str) -> None:
    """An offset that is told twice with two values is no offset."""
    async with connected(OddTus(wrong_offset=offset), tmp_path) as client:
        with pytest.raises(ServiceError, match="does not say where"):
            await client.unit.write("a", body(b"12345"), OPTIONS)


@pytest.mark.parametrize("location", ["https://{host}{path}{id}", "{path}{id}?token=a%2Fb", "./{id}", "{id}#part"])
async def test_forms_of_addresses(tmp_path: Path, location: str) -> None:
    """A Location may be relative, absolute, with a query, or name the scheme that a proxy speaks."""
    server = OddTus(location=location)
    async with connected(server, tmp_path) as client:
        await client.send(DATA[: 300 * KiB])
        assert server.files["file"] == DATA[: 300 * KiB]
        assert server.methods() == ["POST", "PATCH"]


async def test_long_addresses_of_parts(tmp_path: Path) -> None:
    """Where addresses are long, a file has fewer and larger parts, so that they fit into a header of 8 KiB."""
    server = OddTus(extensions=PARTS, file_number="{:0>1500}", max_header=8000)
    async with connected(server, tmp_path) as client:
        for name in ("file", "again"):
            await client.send(DATA * 3, name)
            assert server.files[name] == DATA * 3
        assert server.methods().count("POST") <= 1 + 2 * 5
        assert len(server.uploads) <= 2 * 5


async def test_short_addresses_of_parts(tmp_path: Path) -> None:
    """Where addresses are short, a file has as many parts as before."""
    server = OddTus(extensions=PARTS, max_header=8000)
    async with connected(server, tmp_path) as client:
        await client.send(DATA)
        assert client.unit.features.max_parts == 64
        assert server.methods().count("PATCH") == 3


@pytest.mark.parametrize("extensions", ["creation,termination", "creation,creation-defer-length", PARTS])
@pytest.mark.parametrize("number", ["{}", "{:0>1500}"])
async def test_streams_of_unknown_length(tmp_path: Path, extensions: str, number: str) -> None:
    """A stream of unknown length is stored, whatever its length, also where a file may have few parts."""
    server = OddTus(extensions=extensions, file_number=number, max_header=8000)
    async with connected(server, tmp_path) as client:

        async def stream() -> AsyncIterator[bytes]:
            for start in range(0, 3 * len(DATA), 700_000):
                yield (DATA * 3)[start : start + 700_000]

        await client.stream(stream(), "file")
        assert server.files["file"] == DATA * 3


async def test_bodies_in_memory_are_booked(tmp_path: Path) -> None:
    """Once bodies are sent in pieces, what is in memory of each of them counts in the budget of the session."""
    server = OddTus(extensions=PARTS, limit=6 * MiB)
    async with connected(server, tmp_path) as client:
        await client.send(DATA)
        assert client.unit.features.buffered_size == 0
        server.limit = 150 * KiB
        await client.send(DATA)
        assert client.unit.features.buffered_size == 128 * KiB
        assert (
            PartPolicy(client.unit.features, client.unit.features, 5 * MiB).memory_for(5 * MiB) == 2 * MiB + 128 * KiB
        )
