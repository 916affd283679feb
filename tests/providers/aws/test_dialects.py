"""Services that leave out parts of the protocol: done another way, remembered, and never taken for a confirmation."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from dxflow_async.checksum import combine, crc32c, encode
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import (
    AccessDeniedError,
    ChecksumMismatchError,
    ConfigurationError,
    ServiceError,
    StorageError,
)
from dxflow_async.providers.aws.dialects import Ability, Dialect
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.contract import (
    Entry,
    ObjectOptions,
    Part,
    PartLimitError,
    PartReceipt,
    RangeIgnoredError,
)
from tests.providers.aws.scripted_services import STORED, Service, refusal
from tests.providers.connected_providers import Connect
from tests.providers.in_memory_bodies import body, read
from tests.scripted_server import Request, ScriptedServer, answer

OPTIONS = ObjectOptions()
STARTED = b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
PARTS = (b"first part", b"last")
CRCS = [crc32c(part) for part in PARTS]
WHOLE = crc32c(b"".join(PARTS))
COMPOSITE = encode(crc32c(b"".join(each.to_bytes(4, "big") for each in CRCS)))


def completed(etag: str = "e-2", **values: str) -> bytes:
    """The answer to the completion of an upload."""
    rows = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    document = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag>{rows}</CompleteMultipartUploadResult>"
    return answer(body=document.encode())


def multipart(complete: Callable[[Request], bytes], begin: Callable[[Request], bytes] | None = None) -> Service:
    """A server that stores parts and returns their checksums, and completes an upload as it is told."""

    def reply(request: Request) -> bytes:
        if "uploads=" in request.target:
            return answer(body=STARTED) if begin is None else begin(request)
        if request.method == "PUT":
            etag, checksum = hashlib.md5(request.body).hexdigest(), request.headers.get("x-amz-checksum-crc32c")
            if checksum is None:
                return answer(ETag=f'"{etag}"')
            return answer(ETag=f'"{etag}"', x_amz_checksum_crc32c=checksum)
        if request.method == "HEAD":
            return answer(body=b"".join(PARTS), ETag='"e-2"', x_amz_request_id="1")
        return complete(request)

    return Service(reply)


async def upload(aws: AWSProvider) -> Entry:
    """Stores `PARTS` as one object."""
    started = await aws.start_upload("bucket/name", None, OPTIONS)
    receipts, offset = [], 0
    for number, part in enumerate(PARTS, 1):
        receipts.append(await started.write_part(Part(number, offset, len(part)), body(part)))
        offset += len(part)
    return await started.finish(receipts, combine(zip(CRCS, map(len, PARTS), strict=True)))


def full_begin(request: Request) -> bytes:
    """The answer of a service that knows checksums of whole objects."""
    return answer(body=STARTED, x_amz_checksum_type=request.headers.get("x-amz-checksum-type", ""))


# Checksums of uploads in parts


async def test_whole_checksum_only_where_it_is_confirmed(connect: Connect) -> None:
    """The CRC32C of the whole is sent only to a service that said FULL_OBJECT; others get those of the parts."""
    async with multipart(lambda _: completed(ChecksumCRC32C=f"{COMPOSITE}-2")) as server:
        assert (await upload(connect(server.url))).crc32c == WHOLE, "the composite proves the parts"
        last = server.requests[-1]
        assert "x-amz-checksum-crc32c" not in last.headers
        assert all(encode(each).encode() in last.body for each in CRCS)
    async with multipart(lambda _: completed(ChecksumCRC32C=encode(WHOLE)), full_begin) as server:
        assert (await upload(connect(server.url))).crc32c == WHOLE
        assert server.requests[-1].headers["x-amz-checksum-crc32c"] == encode(WHOLE)


@pytest.mark.parametrize("code", ["InvalidDigest", "XAmzContentChecksumMismatch", "InvalidPart", "NotImplemented"])
async def test_checksums_refused_at_completion(connect: Connect, code: str) -> None:
    """A refusal is answered with less demanding forms, once; the next upload begins with the one that was taken."""

    def complete(request: Request) -> bytes:
        refused = "x-amz-checksum-crc32c" in request.headers or b"ChecksumCRC32C" in request.body
        return refusal("400 Bad Request", code) if refused else completed()

    async with multipart(complete, full_begin) as server:
        aws = connect(server.url)
        assert (await upload(aws)).crc32c is None, "nothing confirms it"
        assert [request.method for request in server.requests[3:]] == ["POST", "POST", "POST", "HEAD"]
        await upload(aws)
        assert len(server.requests) == 7 + 4


async def test_wrong_composite_is_noticed(connect: Connect) -> None:
    """A service that joined other parts than were sent has not stored the object."""
    async with multipart(lambda _: completed(ChecksumCRC32C=f"{encode(1)}-2")) as server:
        with pytest.raises(ChecksumMismatchError):
            await upload(connect(server.url))


async def test_parts_that_are_not_the_whole(connect: Connect) -> None:
    """Where the service does not compare the whole, it is compared before the upload is completed."""
    async with multipart(lambda _: completed()) as server:
        started = await connect(server.url).start_upload("bucket/name", None, OPTIONS)
        receipt = await started.write_part(Part(1, 0, 4), body(b"last"))
        with pytest.raises(ChecksumMismatchError):
            await started.finish([receipt], crc32c(b"lost"))
        assert len(server.requests) == 2


async def test_resumed_upload_knows_its_type(connect: Connect) -> None:
    """The list of parts tells whether a resumed upload is completed with the CRC32C of the whole."""
    for kind, sent in (("FULL_OBJECT", True), ("COMPOSITE", False), ("", False)):
        rows = f"<ChecksumAlgorithm>CRC32C</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"
        part = '<Part><PartNumber>1</PartNumber><ETag>"a"</ETag><Size>4</Size></Part>'
        listed = answer(body=f"<ListPartsResult>{rows}{part}</ListPartsResult>".encode())
        async with ScriptedServer(listed, completed()) as server:
            receipt = PartReceipt(Part(1, 0, 4), "a", CRCS[1], verified=True)
            resumed, kept = await connect(server.url).resume_upload("bucket/name", "u1", [receipt], OPTIONS)
            await resumed.finish(kept, CRCS[1])
            assert ("x-amz-checksum-crc32c" in server.requests[-1].headers) is sent


async def test_only_the_type_is_refused(connect: Connect) -> None:
    """A service that knows the algorithm but not the type gets the algorithm, without asking each time."""

    def begin(request: Request) -> bytes:
        typed = "x-amz-checksum-type" in request.headers
        return refusal("400 No", "InvalidArgument", "x-amz-checksum-type") if typed else answer(body=STARTED)

    async with multipart(lambda _: completed(), begin) as server:
        aws = connect(server.url)
        for _ in range(2):
            await aws.start_upload("bucket/name", None, OPTIONS)
        assert len(server.requests) == 3
        assert server.requests[-1].headers["x-amz-checksum-algorithm"] == "CRC32C"


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({"ETag": '"a"'}, True),
        ({"ETag": '"a-2"', "x_amz_checksum_type": "FULL_OBJECT"}, True),
        ({"ETag": '"a"', "x_amz_checksum_type": "COMPOSITE"}, False),
        ({"ETag": '"a-2"'}, False),
    ],
)
async def test_composite_is_no_checksum_of_the_whole(connect: Connect, headers: dict[str, str], *, known: bool) -> None:
    """A checksum of checksums is reported by no lookup and compared by no read."""
    value = crc32c(b"hello") if known else 1
    async with Service(lambda _: answer(body=b"hello", x_amz_checksum_crc32c=encode(value), **headers)) as server:
        aws = connect(server.url)
        assert ((await aws.stat("bucket/name")).crc32c is not None) is known
        assert await read(aws, "bucket/name") == b"hello"


# Optional headers


@pytest.mark.parametrize("code", ["InvalidArgument", "NotImplemented"])
async def test_checksums_on_reads_refused(connect: Connect, code: str) -> None:
    """The header is left out after a refusal, also of HEAD, which has no body; only one request of many learns it."""
    status = "501 No" if code == "NotImplemented" else "400 No"

    def reply(request: Request) -> bytes:
        refused = "x-amz-checksum-mode" in request.headers
        return refusal(status, code) if refused else answer(body=b"hello", ETag='"1"', x_amz_request_id="1")

    for verb in ("stat", "read"):
        async with Service(reply) as server:
            aws = connect(server.url)
            await asyncio.gather(*(getattr(aws, verb)("bucket/name") for _ in range(5)))
            first = len(server.requests)
            await getattr(aws, verb)("bucket/name")
            assert (first, len(server.requests) - first) == (7 if verb == "stat" else 6, 1)
            assert not aws.dialect.allows(Ability.READ_CHECKSUMS)


UNSIGNED = [
    ("400 No", "XAmzContentSHA256Mismatch"),
    ("400 No", "InvalidDigest"),
    ("403 No", "SignatureDoesNotMatch"),
    ("403 No", "AccessDenied"),
    ("501 No", "NotImplemented"),
]


@pytest.mark.parametrize("said", UNSIGNED)
async def test_unsigned_bodies_refused(connect: Connect, said: tuple[str, str]) -> None:
    """Where bodies have to be signed they are, without a setting, and it is remembered."""

    def reply(request: Request) -> bytes:
        return refusal(*said) if request.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD" else STORED

    async with Service(reply) as server:
        aws = connect(server.url)
        await aws.write("bucket/name", body(b"by", b"tes"), OPTIONS)
        first = len(server.requests)
        await aws.write("bucket/name", body(b"by", b"tes"), OPTIONS)
        assert len(server.requests) - first == 1
    last = server.requests[-1]
    assert last.headers["x-amz-content-sha256"] == hashlib.sha256(b"bytes").hexdigest()
    assert last.body == b"bytes"


async def test_checksums_are_given_up_before_unsigned_bodies(connect: Connect) -> None:
    """A 501 is taken for one of the checksum first: bodies go on unsigned, which costs no second pass over them."""

    def reply(request: Request) -> bytes:
        return refusal("501 No", "NotImplemented") if "x-amz-checksum-crc32c" in request.headers else STORED

    async with Service(reply) as server:
        await connect(server.url).write("bucket/name", body(b"by", b"tes"), OPTIONS)
    assert {request.headers["x-amz-content-sha256"] for request in server.requests} == {"UNSIGNED-PAYLOAD"}


async def test_wrong_keys_are_not_tried_twice_each_time(connect: Connect) -> None:
    """Signing the body of a request that is denied anyway is tried once an endpoint."""
    async with ScriptedServer(refusal("403 No", "AccessDenied")) as server:
        aws = connect(server.url)
        for _ in range(3):
            with pytest.raises(AccessDeniedError):
                await aws.write("bucket/name", body(b"x"), OPTIONS)
    assert len(server.requests) == 4


# Limits


LIMITS: list[tuple[bytes, dict[str, Any]]] = [
    (refusal("400 No", "InvalidArgument", "Part number must be an integer between 1 and 1000, inclusive"), {}),
    (refusal("400 No", "InvalidPart", "All non-trailing parts must have the same length."), {"uniform_parts": True}),
    (refusal("413 No", "EntityTooLarge", extra="<MaxSizeAllowed>5242880</MaxSizeAllowed>"), {"max_part_size": 5242880}),
]


@pytest.mark.parametrize(("said", "limits"), LIMITS)
async def test_refused_part_tells_a_limit(connect: Connect, said: bytes, limits: dict[str, Any]) -> None:
    """A refused part is sent once; what it tells is a feature of the provider from then on."""
    async with multipart(lambda _: completed()) as server:
        aws = connect(server.url)
        started = await aws.start_upload("bucket/name", None, OPTIONS)
        await started.write_part(Part(1, 0, 1), body(b"x"))
        count = len(server.requests)
        server.reply(said)
        with pytest.raises(PartLimitError, match="part_size"):
            await started.write_part(Part(1001, 1, 6 << 20), body(bytes(6 << 20)))
    assert len(server.requests) == count + 1
    for name, value in (limits or {"max_parts": 1000}).items():
        assert getattr(aws.features, name) == value
        assert any("believed for this session" in shown for _, shown in aws.endpoint_facts())


async def test_limit_that_the_message_denies(connect: Connect) -> None:
    """A number that is refused below the limit of the message is the limit."""
    said = refusal("400 No", "InvalidArgument", "Part number must be an integer between 1 and 1000, inclusive")
    async with ScriptedServer(answer(body=STARTED), said) as server:
        aws = connect(server.url)
        started = await aws.start_upload("bucket/name", None, OPTIONS)
        with pytest.raises(PartLimitError):
            await started.write_part(Part(4, 0, 1), body(b"x"))
    assert (aws.features.max_parts, len(server.requests)) == (3, 2)


async def test_parts_of_one_size_told_at_the_end(connect: Connect) -> None:
    """R2 refuses parts of several sizes when the upload is completed, which is no refusal of checksums."""
    said = refusal("400 No", "InvalidPart", "All non-trailing parts must have the same length.")
    async with multipart(lambda _: said) as server:
        aws = connect(server.url)
        with pytest.raises(PartLimitError):
            await upload(aws)
    assert (aws.features.uniform_parts, len(server.requests)) == (True, 4)


async def test_object_too_large_for_one_request(connect: Connect) -> None:
    """The largest object of one request is learned; the object is to be stored in parts."""
    for extra, size in (("<MaxSizeAllowed>3</MaxSizeAllowed>", 3), ("", 4)):
        async with ScriptedServer(refusal("400 No", "EntityTooLarge", extra=extra)) as server:
            aws = connect(server.url)
            with pytest.raises(PartLimitError):
                await aws.write("bucket/name", body(b"bytes"), OPTIONS)
        assert (aws.features.max_write_size, len(server.requests)) == (size, 1)


@pytest.mark.parametrize(
    ("endpoint", "settings", "limits"),
    [
        ("https://abc.r2.cloudflarestorage.com", {}, (10_000, True)),
        ("https://s3.fr-par.scw.cloud", {}, (1000, None)),
        ("https://s3.fr-par.scw.cloud", {"max_parts": 50}, (50, None)),
        ("https://r2.cloudflarestorage.com.example.org", {"max_parts": 7}, (7, None)),
    ],
)
def test_limits_by_name_and_setting(
    connect: Connect, endpoint: str, settings: dict[str, Any], limits: tuple[int, bool | None]
) -> None:
    """The host's name tells known limits, and the settings take precedence; similar names tell nothing."""
    features = connect(endpoint, **settings).features
    assert features.max_parts == limits[0]
    assert limits[1] is None or features.uniform_parts is limits[1]


@pytest.mark.parametrize("number", [0, 10_001])
def test_setting_that_is_not_allowed(number: int) -> None:
    """The number of parts has the protocol's bounds."""
    with pytest.raises(ConfigurationError, match=r"AWS\.max_parts"):
        AWSSettings(max_parts=number)


# Lookups


@pytest.mark.parametrize("status", ["400 Bad Request", "301 Moved"])
async def test_region_told_by_the_body_of_another_request(connect: Connect, status: str) -> None:
    """A HEAD request that is refused without a reason is explained by a GET request, or by the bucket; once."""
    for named_by in ("body", "bucket"):

        def reply(request: Request, named_by: str = named_by) -> bytes:
            if "/eu-west-1/" in request.headers["authorization"]:
                return answer(body=b"hello", ETag='"1"', x_amz_request_id="1")
            if named_by == "bucket" and request.method == "HEAD" and request.target == "/bucket/":
                return answer(status, x_amz_bucket_region="eu-west-1")
            if named_by == "body" and request.method == "GET":
                return refusal(status, "AuthorizationHeaderMalformed", "x", "<Region>eu-west-1</Region>")
            return answer(status)

        async with Service(reply) as server:
            aws = connect(server.url)
            assert (await aws.stat("bucket/name")).size == 5
            count = len(server.requests)
            assert (await aws.stat("bucket/other")).size == 5
            await aws.read("bucket/name")
            assert len(server.requests) == count + 2
            assert any(name == "region of bucket" for name, _ in aws.endpoint_facts())


async def test_size_that_head_does_not_tell(connect: Connect) -> None:
    """A lookup without a Content-Length is no empty object: the first byte's range tells the size."""

    def reply(request: Request) -> bytes:
        if request.method == "HEAD":
            return b'HTTP/1.1 200 OK\r\nETag: "1"\r\nx-amz-request-id: 1\r\nConnection: close\r\n\r\n'
        return answer("206 Partial", b"h", ETag='"1"', Content_Range="bytes 0-0/5", x_amz_request_id="1")

    async with Service(reply) as server:
        aws = connect(server.url)
        assert [(await aws.stat("bucket/name")).size for _ in range(2)] == [5, 5]
        assert [request.method for request in server.requests] == ["HEAD", "GET", "GET"]


async def test_range_that_is_ignored(connect: Connect) -> None:
    """A whole object in the place of a range is not read as one; from the second one on no range is asked for."""
    async with ScriptedServer(answer(body=b"0123456789", ETag='"1"', x_amz_request_id="1")) as server:
        aws = connect(server.url)
        with pytest.raises(ServiceError, match="whole object"):
            await aws.read("bucket/name", 2, 5)
        assert aws.features.ranges
        with pytest.raises(RangeIgnoredError):
            await aws.read("bucket/name", 2, 5)
        assert not aws.features.ranges


# What is remembered


def test_refusals_are_believed_for_an_hour() -> None:
    """A refusal is forgotten after an hour, so that one request tries again; what worked stays known."""
    now = 0.0
    dialect = Dialect(AWSSettings(endpoint="https://s3.example.org"), clock=lambda: now)
    dialect.accept(Ability.BATCH_DELETE)
    assert dialect.refuse(Ability.UNSIGNED, "400 X")
    assert not dialect.refuse(Ability.UNSIGNED, "400 X")
    assert dict(dialect.facts())["UNSIGNED-PAYLOAD in signatures"] == "no (400 X; believed for 60 minutes)"
    now = 3601.0
    assert (dialect.allows(Ability.UNSIGNED), dialect.known(Ability.UNSIGNED)) == (True, False)
    assert dialect.known(Ability.BATCH_DELETE)


@pytest.mark.parametrize("endpoint", ["https://s3.example.org", "https://s3.eu-central-1.amazonaws.com"])
def test_what_was_proven_may_be_refused_later(endpoint: str) -> None:
    """An ability that worked, or that a host name promises, is not counted on any more once it was refused."""
    dialect = Dialect(AWSSettings(endpoint=endpoint))
    dialect.accept(Ability.OBJECT_CRC32C)
    assert dialect.has(Ability.OBJECT_CRC32C)
    assert dialect.refuse(Ability.OBJECT_CRC32C, "400 X")
    assert not dialect.has(Ability.OBJECT_CRC32C)
    assert not dialect.allows(Ability.OBJECT_CRC32C)


async def test_the_first_of_many_is_not_waited_for_long() -> None:
    """Requests that wait for the first one go on after a while, and when it is cancelled."""
    dialect, entered = Dialect(AWSSettings(endpoint="https://s3.example.org")), asyncio.Event()

    async def hang() -> None:
        async with dialect.first(Ability.OBJECT_CRC32C):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await entered.wait()
    asyncio.get_running_loop().call_later(0.05, task.cancel)
    async with asyncio.timeout(0.8), dialect.first(Ability.OBJECT_CRC32C):
        assert task.cancelling()


async def test_unknown_refusals_stay_errors(connect: Connect) -> None:
    """A service error is not taken for a refusal of anything."""
    async with ScriptedServer(refusal("500 No", "InternalError")) as server:
        aws = connect(server.url)
        with pytest.raises(ServiceError):
            await aws.write("bucket/name", body(b"x"), OPTIONS)
        with pytest.raises(StorageError):
            await aws.delete(["bucket/a", "bucket/b"])
    assert len(server.requests) == 2
    assert not [row for row in aws.endpoint_facts() if row[1].startswith("no")]
