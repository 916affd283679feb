"""Uploads that break and go on, at a server that does this as Google documents it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import (
    AccessDeniedError,
    ChecksumMismatchError,
    NetworkError,
    NotFoundError,
    ServiceError,
    StorageError,
    ThrottledError,
)
from dxflow_async.providers.contract import Buffered, ObjectOptions, Part
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.transfer.retry import RetryPolicy, retry
from tests.providers.connected_providers import ConnectGCP
from tests.providers.in_memory_bodies import BrokenBody, body
from tests.servers.resumable import Fault, ResumableServer, Stored

MiB = 1 << 20
OPTIONS = ObjectOptions("text/csv", {"run": "7"}, modified=1700000000.25)
DATA = bytes(range(256)) * (12 * MiB // 256)
PARTS = [DATA[:3000], DATA[3000:6000], DATA[6000:7000]]


@pytest.fixture
async def google() -> AsyncIterator[ResumableServer]:
    """The service, with its tokens."""
    async with ResumableServer() as server:
        yield server


@pytest.fixture
def provider(google: ResumableServer, connect_gcp: ConnectGCP, tmp_path: Path) -> GCPProvider:
    """A provider with a service account."""
    return connect_gcp(google.url, service_file=google.service_file(tmp_path))


def large() -> Buffered:
    """A body of several buffers that is sent by a resumable upload."""
    return body(*(DATA[start : start + MiB] for start in range(0, len(DATA), MiB)))


async def test_one_request_for_all_bytes(google: ResumableServer, provider: GCPProvider) -> None:
    """A large object takes a session and one request, and arrives with what belongs to it."""
    entry = await provider.write("bucket/name", large(), OPTIONS)
    stored = google.objects["name"]
    assert stored.data == DATA
    assert (entry.size, entry.etag, entry.crc32c) == (len(DATA), stored.generation, crc32c(DATA))
    assert stored.resource["contentType"] == "text/csv"
    assert stored.resource["metadata"] == {"run": "7", "mtime": "1700000000.250000"}
    assert (google.requests["begin"], google.requests["send"], google.requests["status"]) == (1, 1, 0)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("cut", 5 * MiB)],
        [Fault("cut", 3 * MiB + 1), Fault("cut", 3 * MiB), Fault("cut", 300 << 10)],
        [Fault("partly", 4 * MiB)],
        [Fault("fail", 4 * MiB), Fault("cut", MiB)],
    ],
)
async def test_going_on_after_a_break(google: ResumableServer, provider: GCPProvider, faults: list[Fault]) -> None:
    """After each break the server is asked how far it got, and only the rest is sent."""
    google.faults.extend(faults)
    entry = await provider.write("bucket/name", large(), OPTIONS)
    assert google.objects["name"].data == DATA
    assert entry.crc32c == crc32c(DATA)
    assert google.requests["send"] == 1 + len(faults)
    assert google.requests["begin"] == 1
    # What came twice is less than a piece in flight and what does not fill 256 KiB, each time.
    assert google.received < len(DATA) + len(faults) * MiB


async def test_break_without_progress(google: ResumableServer, provider: GCPProvider) -> None:
    """A break before anything was kept is an error to try again, and its session is given up."""
    google.faults.append(Fault("cut", 1000))
    with pytest.raises(NetworkError) as raised:
        await provider.write("bucket/name", large(), OPTIONS)
    assert raised.value.retryable
    assert google.objects == {}
    assert google.sessions == {}


async def test_answer_that_was_lost(google: ResumableServer, provider: GCPProvider) -> None:
    """An object that was stored, its answer lost, is not sent again."""
    google.faults.append(Fault("deaf"))
    entry = await provider.write("bucket/name", large(), OPTIONS)
    assert entry.etag == google.objects["name"].generation
    assert google.received == len(DATA)


async def test_throttling_is_the_engine_s_business(google: ResumableServer, provider: GCPProvider) -> None:
    """A server that asks for fewer requests is not asked again at once."""
    google.faults.append(Fault("throttle", 4 * MiB))
    with pytest.raises(ThrottledError):
        await provider.write("bucket/name", large(), OPTIONS)
    assert google.requests["status"] == 0


async def test_lost_session(google: ResumableServer, provider: GCPProvider) -> None:
    """When the session is gone, the next try begins another one and sends everything."""
    google.faults.append(Fault("lose", 5 * MiB))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    policy = RetryPolicy(sleep=sleep)
    await retry(lambda: provider.write("bucket/name", large(), OPTIONS), policy)
    assert len(waits) == 1
    assert google.objects["name"].data == DATA
    assert (google.requests["begin"], google.requests["send"]) == (2, 2)
    assert google.received >= len(DATA) + 5 * MiB


async def test_part_goes_on_in_another_try(google: ResumableServer, provider: GCPProvider) -> None:
    """Of a part of an upload that failed, another try sends the rest only; when its session was lost, all of it."""
    upload = await provider.start_upload("bucket/name", len(DATA), OPTIONS)
    part = Part(1, 0, len(DATA))
    google.faults.append(Fault("throttle", 9 * MiB))
    with pytest.raises(ThrottledError):
        await upload.write_part(part, large())
    google.faults.append(Fault("lose", MiB))
    with pytest.raises(ServiceError, match="lost") as raised:
        await upload.write_part(part, large())
    assert raised.value.retryable
    assert google.received < 12 * MiB
    receipt = await upload.write_part(part, large())
    assert receipt.verified
    await upload.finish([receipt], crc32c(DATA))
    assert google.objects["name"].data == DATA
    assert google.parts == []


async def test_aborted_part_gives_its_session_up(google: ResumableServer, provider: GCPProvider) -> None:
    """`abort` leaves no session of a part that broke off, and no part."""
    upload = await provider.start_upload("bucket/name", None, OPTIONS)
    await upload.write_part(Part(1, 0, 5), body(b"bytes"))
    google.faults.append(Fault("throttle", 4 * MiB))
    with pytest.raises(ThrottledError):
        await upload.write_part(Part(2, 5, len(DATA)), large())
    assert google.sessions
    assert google.parts
    await upload.abort()
    assert google.sessions == {}
    assert google.objects == {}


async def test_body_that_fails_is_not_asked_about(google: ResumableServer, provider: GCPProvider) -> None:
    """What the body itself fails with is the caller's, whatever it is; the session is given up."""
    error = NetworkError("the source broke off")
    with pytest.raises(NetworkError) as raised:
        await provider.write("bucket/name", BrokenBody([DATA[:MiB]] * 5, len(DATA), error), OPTIONS)
    assert raised.value is error
    assert google.requests["status"] == 0
    assert google.sessions == {}


@pytest.mark.parametrize("sent", [len(DATA) - 1, len(DATA) + 1])
async def test_body_of_another_size(google: ResumableServer, provider: GCPProvider, sent: int) -> None:
    """A body that is shorter or longer than it says is never stored, though its first bytes could be an object."""
    chunks = [DATA, b"x"] if sent > len(DATA) else [DATA[:sent]]
    with pytest.raises(NetworkError):
        await provider.write("bucket/name", BrokenBody(chunks, len(DATA)), OPTIONS)
    assert google.objects == {}
    assert google.sessions == {}


async def test_body_that_changed(google: ResumableServer, provider: GCPProvider) -> None:
    """Bytes that are not those of the checksum are not sent to their end."""
    wrong = BrokenBody([DATA[:MiB]] * 12, len(DATA), crc32c=crc32c(DATA) ^ 1)
    with pytest.raises(ChecksumMismatchError, match="before they were sent"):
        await provider.write("bucket/name", wrong, OPTIONS)
    assert google.objects == {}
    assert google.sessions == {}


async def test_cancelled_upload_gives_its_session_up(google: ResumableServer, provider: GCPProvider) -> None:
    """A write that is cancelled in its midst leaves neither object nor session."""
    started = asyncio.Event()

    class Endless(BrokenBody):
        async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
            yield b"x" * MiB
            yield b"x" * MiB
            started.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(provider.write("bucket/name", Endless([], len(DATA)), OPTIONS))
    await started.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert google.objects == {}
    assert google.sessions == {}


@pytest.mark.parametrize("size", [100, len(DATA)])
async def test_server_that_stores_other_bytes(google: ResumableServer, provider: GCPProvider, size: int) -> None:
    """An object of which the server reports another checksum is removed again, and the error says so."""
    google.corrupts = True
    with pytest.raises(ChecksumMismatchError, match="they were deleted") as raised:
        await provider.write("bucket/name", body(DATA[:size]), OPTIONS)
    assert raised.value.retryable
    assert google.objects == {}


async def test_part_that_was_stored_wrong_is_sent_anew(google: ResumableServer, provider: GCPProvider) -> None:
    """Another try of a large part that arrived as other bytes begins from the start, not from what is wrong."""
    upload = await provider.start_upload("bucket/name", len(DATA), OPTIONS)
    google.corrupts = True
    with pytest.raises(ChecksumMismatchError):
        await upload.write_part(Part(1, 0, len(DATA)), large())
    google.corrupts = False
    receipt = await upload.write_part(Part(1, 0, len(DATA)), large())
    await upload.finish([receipt], crc32c(DATA))
    assert google.objects["name"].data == DATA
    assert google.requests["begin"] == 2


async def test_wrong_checksum_is_refused_by_the_server(google: ResumableServer, provider: GCPProvider) -> None:
    """The checksum goes along, and a server that finds another one is understood."""
    part = Part(1, 0, 3)
    upload = await provider.start_upload("bucket/name", 3, ObjectOptions())
    receipt = await upload.write_part(part, body(b"abc"))
    (name,) = google.parts
    google.objects[name] = Stored(b"abX", google.objects[name].resource)
    with pytest.raises(ChecksumMismatchError, match="doesn't match calculated"):
        await upload.finish([receipt], crc32c(b"abc"))
    assert "name" not in google.objects
    await upload.abort()


# Tokens


async def test_token_that_ends_in_mid_transfer(google: ResumableServer, provider: GCPProvider) -> None:
    """A token that was taken back is replaced by the next try, once; nothing that was sent is lost."""
    upload = await provider.start_upload("bucket/name", None, OPTIONS)
    policy, offset, receipts = RetryPolicy(first_wait=0.001), 0, []
    for number, data in enumerate(PARTS, 1):
        part, piece = Part(number, offset, len(data)), body(data)
        receipts.append(await retry(lambda part=part, piece=piece: upload.write_part(part, piece), policy))  # type: ignore[misc]
        offset += len(data)
        google.tokens.clear()
    await retry(lambda: upload.finish(receipts, crc32c(b"".join(PARTS))), policy)
    assert google.objects["name"].data == b"".join(PARTS)
    assert google.parts == []
    assert google.requests["refused"] == 3
    assert google.requests["token"] == 4


async def test_session_outlives_its_token(google: ResumableServer, provider: GCPProvider) -> None:
    """A resumable upload goes on after a break though the token it was begun with has ended."""

    class Ending(BrokenBody):
        async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
            google.tokens.clear()
            for start in range(0, len(DATA), MiB):
                yield DATA[start : start + MiB]

    google.faults.append(Fault("cut", 5 * MiB))
    await provider.write("bucket/name", Ending([], len(DATA)), OPTIONS)
    assert google.objects["name"].data == DATA
    assert google.requests["refused"] == 0


async def test_token_that_is_refused_at_once(google: ResumableServer, provider: GCPProvider) -> None:
    """A new token that the service does not accept is not tried over and over."""
    google.gives_good_tokens = False
    with pytest.raises(AccessDeniedError, match=r"GCP\.service_file") as raised:
        await provider.stat("bucket/name")
    assert (raised.value.status, raised.value.retryable) == (401, False)


# Parts put together


async def test_parts_of_the_versions_that_were_written(google: ResumableServer, provider: GCPProvider) -> None:
    """A part that was replaced behind our back is not put together."""
    upload = await provider.start_upload("bucket/name", None, OPTIONS)
    receipt = await upload.write_part(Part(1, 0, 3), body(b"abc"))
    (name,) = google.parts
    await provider.write(f"bucket/{name}", body(b"xyz"), OPTIONS)
    with pytest.raises(StorageError):
        await upload.finish([receipt], crc32c(b"abc"))
    assert "name" not in google.objects


async def test_round_of_compositions_that_fails(google: ResumableServer, provider: GCPProvider) -> None:
    """When one of many compositions fails, that is the error, the key is untouched, and `abort` leaves nothing."""
    upload = await provider.start_upload("bucket/name", None, OPTIONS)
    receipts = [await upload.write_part(Part(number, number - 1, 1), body(b"x")) for number in range(1, 101)]
    del google.objects[google.parts[40]]
    with pytest.raises(NotFoundError, match="No such object"):
        await upload.finish(receipts, crc32c(b"x" * 100))
    assert "name" not in google.objects
    assert google.requests["compose"] > 1
    await upload.abort()
    assert google.objects == {}


async def test_parts_that_could_not_be_removed(
    google: ResumableServer, provider: GCPProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Removing the parts is tried again by another `finish`, which makes the object no second time."""
    upload = await provider.start_upload("bucket/name", None, OPTIONS)
    receipts = [await upload.write_part(Part(number, number - 1, 1), body(b"x")) for number in (1, 2)]
    google.remove_failures = 1
    with pytest.raises(ThrottledError):
        await upload.finish(receipts, crc32c(b"xx"))
    generation = google.objects["name"].generation
    assert (await upload.finish(receipts, crc32c(b"xx"))).etag == generation
    assert google.parts == []
    assert caplog.records == []


async def test_parts_that_cannot_be_removed(
    google: ResumableServer, provider: GCPProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """An object whose parts cannot be removed is stored all the same, and the log names what is left."""
    upload = await provider.start_upload("bucket/name", None, OPTIONS)
    receipt = await upload.write_part(Part(1, 0, 1), body(b"x"))
    google.remove_failures = 100
    entry = await retry(lambda: upload.finish([receipt], None), RetryPolicy(first_wait=0.001))
    assert entry.etag == google.objects["name"].generation
    assert f"/bucket/.dxflow-parts/{upload.id}/" in caplog.text
