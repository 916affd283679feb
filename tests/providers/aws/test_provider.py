from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import Counter
from uuid import uuid4

import pytest

from dxflow_async.checksum import crc32c, encode
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    ChecksumMismatchError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    StorageError,
    ThrottledError,
    UnsupportedError,
)
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.contract import Entry, ObjectOptions, Part, PartReceipt
from dxflow_async.providers.http import HTTP
from tests.providers.connected_providers import Connect
from tests.providers.in_memory_bodies import body, read
from tests.scripted_server import ScriptedServer, answer
from tests.servers import SeaweedFS

OPTIONS = ObjectOptions()


def xml_error(status: str, code: str, message: str = "said so", extra: str = "", **headers: str) -> bytes:
    """S3's way to refuse."""
    document = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>"
    return answer(status, document.encode(), **{"x_amz_request_id": "REQ1", **headers})


async def test_wrong_secret(weed: SeaweedFS, connect: Connect, prefix: str) -> None:
    """Another secret is no access, and says which setting to look at."""
    aws = connect(weed.endpoint, access_key=weed.access_key, secret_key="wrong")
    with pytest.raises(AccessDeniedError, match=r"AWS\.secret_key") as raised:
        await aws.write(f"{prefix}name", body(b"x"), OPTIONS)
    assert (raised.value.status, raised.value.code) == (403, "SignatureDoesNotMatch")
    with pytest.raises(AccessDeniedError, match=r"AWS\.access_key"):
        await connect(weed.endpoint).read(f"{prefix}name")


async def test_missing_bucket(aws: AWSProvider) -> None:
    """A bucket that does not exist is named, with what to do."""
    for attempt in (
        lambda: aws.write("no-such-bucket/name", body(b"x"), OPTIONS),
        lambda: aws.list_page("no-such-bucket/", recursive=True),
        lambda: aws.start_upload("no-such-bucket/name", None, OPTIONS),
        lambda: aws.read("no-such-bucket/name"),
    ):
        with pytest.raises(NotFoundError, match=r'bucket "no-such-bucket" does not exist .* create it') as raised:
            await attempt()
        assert raised.value.code == "NoSuchBucket"
    with pytest.raises(NotFoundError):
        await aws.stat("no-such-bucket/")


async def test_buckets(aws: AWSProvider, bucket: str) -> None:
    """Buckets are listed by prefix and looked up; each is a directory."""
    page = await aws.list_page(bucket[:-1], recursive=False)
    assert Entry(f"{bucket}/", directory=True) in page.entries
    assert (await aws.stat(f"{bucket}/")).directory
    assert (await aws.list_page("zzz", recursive=False)).entries == []


ROWS = [
    ("404 Not Found", "NoSuchKey", NotFoundError, False),
    ("404 Not Found", "NoSuchBucket", NotFoundError, False),
    ("404 Not Found", "NoSuchUpload", NotFoundError, False),
    ("404 Not Found", "Unheard", NotFoundError, False),
    ("403 Forbidden", "AccessDenied", AccessDeniedError, False),
    ("403 Forbidden", "InvalidAccessKeyId", AccessDeniedError, False),
    ("403 Forbidden", "SignatureDoesNotMatch", AccessDeniedError, False),
    ("403 Forbidden", "RequestTimeTooSkewed", AccessDeniedError, False),
    ("403 Forbidden", "AllAccessDisabled", AccessDeniedError, False),
    ("400 Bad Request", "ExpiredToken", AccessDeniedError, False),
    ("401 Unauthorized", "Unheard", AccessDeniedError, False),
    ("412 Precondition Failed", "PreconditionFailed", PreconditionFailedError, False),
    ("409 Conflict", "ConditionalRequestConflict", PreconditionFailedError, False),
    ("416 Range Not Satisfiable", "InvalidRange", PreconditionFailedError, False),
    ("409 Conflict", "BucketAlreadyExists", AlreadyExistsError, False),
    ("409 Conflict", "BucketAlreadyOwnedByYou", AlreadyExistsError, False),
    ("400 Bad Request", "AccessControlListNotSupported", UnsupportedError, False),
    ("501 Not Implemented", "NotImplemented", UnsupportedError, False),
    ("400 Bad Request", "BadDigest", ChecksumMismatchError, True),
    ("400 Bad Request", "InvalidDigest", ChecksumMismatchError, True),
    ("400 Bad Request", "XAmzContentSHA256Mismatch", ChecksumMismatchError, True),
    ("503 Slow Down", "SlowDown", ThrottledError, True),
    ("503 Unavailable", "ServiceUnavailable", ThrottledError, True),
    ("429 Too Many", "TooManyRequests", ThrottledError, True),
    ("503 Unavailable", "Unheard", ThrottledError, True),
    ("400 Bad Request", "RequestTimeout", ServiceError, True),
    ("400 Bad Request", "IncompleteBody", ServiceError, True),
    ("500 Internal", "InternalError", ServiceError, True),
    ("502 Bad Gateway", "Unheard", ServiceError, True),
    ("400 Bad Request", "Unheard", StorageError, False),
]


@pytest.mark.parametrize(("status", "code", "expected", "retryable"), ROWS)
async def test_what_s3_says(
    connect: Connect, status: str, code: str, expected: type[StorageError], *, retryable: bool
) -> None:
    """Each of S3's errors is one of ours, and keeps what S3 said."""
    async with ScriptedServer(xml_error(status, code, retry_after="7")) as server:
        with pytest.raises(StorageError, match=f"AWS read of /bucket/name failed: .*{code}") as raised:
            await connect(server.url).read("bucket/name")
    error = raised.value
    assert type(error) is expected
    assert (error.status, error.code, error.request_id) == (int(status[:3]), code, "REQ1")
    assert (error.retry_after, error.retryable) == (7.0, retryable)


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf"])
async def test_retry_after_that_is_no_number(connect: Connect, value: str) -> None:
    """A Retry-After that is neither seconds nor a date is not taken for any."""
    async with ScriptedServer(xml_error("503 Slow Down", "SlowDown", retry_after=value)) as server:
        with pytest.raises(ThrottledError) as raised:
            await connect(server.url).read("bucket/name")
    assert raised.value.retry_after is None


async def test_errors_that_are_no_xml(connect: Connect) -> None:
    """A proxy's page is quoted; nothing at all is an error too."""
    async with ScriptedServer(answer("502 Bad Gateway", b"<html>no backend</html"), answer("404 Not Found")) as server:
        aws = connect(server.url)
        with pytest.raises(ServiceError, match="no backend"):
            await aws.read("bucket/name")
        with pytest.raises(NotFoundError):
            await aws.stat("bucket/name")


# Regions


async def test_bucket_in_another_region(connect: Connect) -> None:
    """A bucket elsewhere is followed there once, and asked there from then on."""
    moved = xml_error("301 Moved", "PermanentRedirect", x_amz_bucket_region="eu-central-1")
    async with ScriptedServer(moved, answer(body=b"here", ETag='"1"', x_amz_request_id="1")) as server:
        aws = connect(server.url)
        for _ in range(2):
            assert await read(aws, "bucket/name") == b"here"
    regions = [request.headers["authorization"].split("/")[2] for request in server.requests]
    assert regions == ["us-east-1", "eu-central-1", "eu-central-1"]


@pytest.mark.parametrize(
    "refusal",
    [
        xml_error("400 Bad Request", "AuthorizationHeaderMalformed", extra="<Region>eu-west-1</Region>"),
        xml_error("400 Bad Request", "AuthorizationHeaderMalformed", "wrong; expecting 'eu-west-1'"),
        answer("400 Bad Request", x_amz_bucket_region="eu-west-1"),
    ],
)
async def test_region_told_otherwise(connect: Connect, refusal: bytes) -> None:
    """The region is found wherever S3 tells it; a body is sent again."""
    async with ScriptedServer(refusal, answer(x_amz_request_id="1", ETag='"1"')) as server:
        await connect(server.url).write("bucket/name", body(b"bytes"), OPTIONS)
    assert [request.body for request in server.requests] == [b"bytes", b"bytes"]
    assert "/eu-west-1/" in server.requests[1].headers["authorization"]


async def test_no_following_in_circles(connect: Connect) -> None:
    """Sent to and fro, we give up; a region that is none is not believed."""
    one = xml_error("301 Moved", "PermanentRedirect", x_amz_bucket_region="eu-west-1")
    two = xml_error("301 Moved", "PermanentRedirect", x_amz_bucket_region="eu-west-2")
    async with ScriptedServer(one, two, one) as server:
        with pytest.raises(StorageError, match="region"):
            await connect(server.url).read("bucket/name")
        assert len(server.requests) == 2
    bad = xml_error("301 Moved", "PermanentRedirect", x_amz_bucket_region="evil.example.com/x")
    async with ScriptedServer(bad) as server:
        with pytest.raises(StorageError, match="region"):
            await connect(server.url).read("bucket/name")
        assert len(server.requests) == 1


# Answers that are not what they should be


@pytest.mark.parametrize(
    "reply",
    [
        answer(body=b"0123456789", ETag='"1"'),
        answer("206 Partial", b"0123", ETag='"1"', Content_Range="bytes 0-3/10"),
        answer("206 Partial", b"23", ETag='"1"', Content_Range="bytes 2-3/10"),
        answer("206 Partial", b"2345", ETag='"1"', Content_Range="bytes 2-4/10"),
        answer("206 Partial", b"234", ETag='"1"'),
        answer("206 Partial", b"234", ETag='"1"', Content_Range="bytes 2-4/*"),
        b"HTTP/1.1 206 Partial\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 2-4/10\r\n\r\n0\r\n\r\n",
    ],
)
async def test_another_range_than_asked_for(connect: Connect, reply: bytes) -> None:
    """Bytes of another range are never taken for those of the one that was asked for."""
    async with ScriptedServer(reply) as server:
        with pytest.raises(ServiceError):
            await connect(server.url).read("bucket/name", 2, 5)
        assert server.requests[0].headers["range"] == "bytes=2-4"


async def test_listing_that_is_none(connect: Connect) -> None:
    """An answer that is no listing is not an empty one."""
    for page in (b"<html><body>Welcome to the network</body></html>", b"", b"<ListBucketResult>"):
        async with ScriptedServer(answer(body=page)) as server:
            with pytest.raises(ServiceError, match="not one of the service") as raised:
                await connect(server.url).list_page("bucket/", recursive=True)
            assert raised.value.retryable


async def test_pages_of_a_listing(connect: Connect) -> None:
    """Of a tree few objects are asked for at first, so that work on it may begin; of a directory, and later, many."""
    empty = answer(body=b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    async with ScriptedServer(empty, empty, empty) as server:
        aws = connect(server.url)
        await aws.list_page("bucket/", recursive=True)
        await aws.list_page("bucket/", recursive=True, cursor="token")
        await aws.list_page("bucket/", recursive=False)
        sizes = [request.target.partition("max-keys=")[2].partition("&")[0] for request in server.requests]
    assert sizes == ["200", "1000", "1000"]


async def test_odd_dates(connect: Connect) -> None:
    """A time that cannot be read is none."""
    async with ScriptedServer(answer(x_amz_request_id="1", ETag='"1"', Last_Modified="yesterday")) as server:
        assert (await connect(server.url).stat("bucket/name")).modified == 0.0


async def test_failure_in_a_delete(connect: Connect) -> None:
    """What could not be deleted is said, name by name; what was not there is no failure."""
    rows = "<Error><Key>a</Key><Code>NoSuchKey</Code></Error>"
    async with ScriptedServer(answer(body=f"<DeleteResult>{rows}</DeleteResult>".encode())) as server:
        assert await connect(server.url).delete(["bucket/a", "bucket/b"]) == {}
    rows += "<Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    async with ScriptedServer(answer(body=f"<DeleteResult>{rows}</DeleteResult>".encode())) as server:
        failed = await connect(server.url).delete(["bucket/a", "bucket/b", "bucket/c"])
    assert list(failed) == ["bucket/b"]
    assert isinstance(failed["bucket/b"], AccessDeniedError)
    assert "AWS delete of /bucket/b failed" in str(failed["bucket/b"])
    rows = "<Error><Key>other</Key><Code>AccessDenied</Code></Error>"
    async with ScriptedServer(answer(body=f"<DeleteResult>{rows}</DeleteResult>".encode())) as server:
        with pytest.raises(AccessDeniedError, match="/bucket/other"):  # which name it is about, nobody can say
            await connect(server.url).delete(["bucket/a", "bucket/b"])


# Uploads in parts

STARTED = answer(body=b"<InitiateMultipartUploadResult><UploadId>up/1</UploadId></InitiateMultipartUploadResult>")


async def test_failure_after_status_200(connect: Connect) -> None:
    """Finishing an upload, and copying, may fail under status 200."""
    failed = xml_error("200 OK", "InternalError", "try again")
    async with ScriptedServer(STARTED, failed) as server:
        aws = connect(server.url)
        upload = await aws.start_upload("bucket/name", None, OPTIONS)
        with pytest.raises(ServiceError, match="InternalError") as raised:
            await upload.finish([PartReceipt(Part(1, 0, 1), "ab")], None)
        assert raised.value.retryable
        with pytest.raises(ServiceError):
            await aws.copy(Entry("bucket/other"), "bucket/name", OPTIONS)
    assert server.requests[1].target == "/bucket/name?uploadId=up%2F1"


def etag_of(*parts: bytes) -> str:
    """The etag of an object that was put together from these."""
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"


@pytest.mark.parametrize(
    ("headers", "etag", "done"),
    [
        ({"ETag": f'"{etag_of(b"a", b"b")}"'}, "md5", True),
        ({"ETag": '"another"'}, "md5", False),
        ({"ETag": '"another"'}, "not hex", False),
        ({"ETag": '"another"', "x_amz_checksum_crc32c": encode(crc32c(b"ab"))}, "not hex", True),
        ({"ETag": '"another"', "x_amz_checksum_crc32c": encode(crc32c(b"xy"))}, "not hex", False),
    ],
)
async def test_finish_whose_answer_was_lost(
    connect: Connect, headers: dict[str, str], etag: str, *, done: bool
) -> None:
    """An upload that is gone was finished before, when the object is the one it would have made."""
    missing = xml_error("404 Not Found", "NoSuchUpload")
    async with ScriptedServer(STARTED, missing, answer("200 OK", b"", **headers)) as server:
        upload = await connect(server.url).start_upload("bucket/name", None, OPTIONS)
        parts = [
            PartReceipt(
                Part(number, number - 1, 1), hashlib.md5(data).hexdigest() if etag == "md5" else "no-hex", crc32c(data)
            )
            for number, data in ((1, b"a"), (2, b"b"))
        ]
        if done:
            entry = await upload.finish(parts, crc32c(b"ab"))
            assert entry.etag == headers["ETag"].strip('"')
        else:
            with pytest.raises(NotFoundError, match="NoSuchUpload"):
                await upload.finish(parts, crc32c(b"ab"))


async def test_upload_without_a_name(connect: Connect) -> None:
    """A server that does not say which upload it began is not to be worked with."""
    async with ScriptedServer(answer(body=b"<InitiateMultipartUploadResult/>")) as server:
        with pytest.raises(ServiceError):
            await connect(server.url).start_upload("bucket/name", None, OPTIONS)


async def test_part_stored_otherwise(connect: Connect) -> None:
    """A part of which the server reports another checksum was not stored."""
    wrong = answer(x_amz_request_id="1", ETag='"1"', x_amz_checksum_crc32c=encode(1))
    async with ScriptedServer(STARTED, wrong) as server:
        upload = await connect(server.url).start_upload("bucket/name", None, OPTIONS)
        with pytest.raises(ChecksumMismatchError):
            await upload.write_part(Part(1, 0, 5), body(b"bytes"))


# Checksums that a server does not know


@pytest.mark.parametrize(
    "refusal", [("501 No", "NotImplemented"), ("400 No", "InvalidArgument"), ("400 No", "InvalidRequest")]
)
async def test_fallback_to_md5(connect: Connect, refusal: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """A server that refuses a CRC32C gets a Content-MD5, and is remembered, with a warning."""
    async with ScriptedServer(xml_error(*refusal), answer(x_amz_request_id="1", ETag='"1"')) as server:
        aws = connect(server.url)
        for _ in range(2):
            await aws.write("bucket/name", body(b"by", b"tes"), OPTIONS)
    first, second, third = server.requests
    assert first.headers["x-amz-checksum-crc32c"] == encode(crc32c(b"bytes"))
    for request in (second, third):
        assert request.headers["content-md5"] == base64.b64encode(hashlib.md5(b"bytes").digest()).decode()
        assert "x-amz-checksum-crc32c" not in request.headers
        assert request.body == b"bytes"
    assert len([record for record in caplog.records if "a Content-MD5 instead" in record.message]) == 1


async def test_fallback_of_requests_under_way(connect: Connect) -> None:
    """Of requests that arrive together one is refused, and sent again; the others wait for what it learns."""

    async def judge(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(server.requests)
        refused = "x-amz-checksum-crc32c" in server.requests[-1].headers
        await asyncio.sleep(0.02 * number if refused else 0)
        writer.write(xml_error("501 No", "NotImplemented") if refused else answer(x_amz_request_id="1", ETag='"1"'))

    async with ScriptedServer(judge) as server:
        aws = connect(server.url)
        await asyncio.gather(*(aws.write(f"bucket/{number}", body(b"x"), OPTIONS) for number in range(10)))
        assert not aws.dialect.allows(Ability.OBJECT_CRC32C)
        assert sorted(Counter(request.target for request in server.requests).values()) == [1] * 9 + [2]


async def test_fallback_of_an_upload(connect: Connect) -> None:
    """An upload is begun without checksums where they are refused, and its parts carry none."""
    finished = answer(body=b'<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>')
    async with ScriptedServer(
        xml_error("501 No", "NotImplemented"), STARTED, answer(x_amz_request_id="1", ETag='"1"'), finished
    ) as server:
        upload = await connect(server.url).start_upload("bucket/name", None, OPTIONS)
        receipt = await upload.write_part(Part(1, 0, 1), body(b"x"))
        assert not receipt.verified
        await upload.finish([receipt], receipt.crc32c)
    assert not any("crc32c" in str(request.headers).lower() for request in server.requests[1:])


async def test_what_is_no_refusal_of_checksums(connect: Connect) -> None:
    """A request that is refused without checksums too was wrong itself: nothing is remembered of it."""
    async with ScriptedServer(xml_error("400 No", "InvalidArgument")) as server:
        aws = connect(server.url)
        with pytest.raises(StorageError, match="InvalidArgument"):
            await aws.write("bucket/name", body(b"x"), OPTIONS)
        with pytest.raises(StorageError, match="InvalidArgument"):
            await aws.start_upload("bucket/name", None, OPTIONS)
        assert not aws.dialect.known(Ability.OBJECT_CRC32C)
        assert len(server.requests) == 4


# Public objects


async def test_public_object(weed: SeaweedFS, aws: AWSProvider) -> None:
    """An object that was to be public, and is not, says why; where the bucket allows it, it is."""
    bucket = weed.create_bucket(f"public-{uuid4().hex[:8]}")
    public = ObjectOptions(public=True)
    with pytest.raises(UnsupportedError, match=f'bucket "{bucket}" .* bucket policy'):
        await aws.write(f"{bucket}/name", body(b"x"), public)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    weed.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    await aws.write(f"{bucket}/name", body(b"x"), public)
    upload = await aws.start_upload(f"{bucket}/parts", 1, public)
    await upload.finish([await upload.write_part(Part(1, 0, 1), body(b"x"))], crc32c(b"x"))
    assert weed.answers(f"/{bucket}/name")
    assert weed.answers(f"/{bucket}/parts")


# Where requests go


@pytest.mark.parametrize(
    ("addressing", "bucket", "url"),
    [
        ("path", "bucket", "http://s3.example.com:9000/bucket/a%20b"),
        ("auto", "bucket", "http://s3.example.com:9000/bucket/a%20b"),
        ("virtual", "bucket", "http://bucket.s3.example.com:9000/a%20b"),
    ],
)
async def test_addressing(
    threads: Threads, monkeypatch: pytest.MonkeyPatch, addressing: str, bucket: str, url: str
) -> None:
    """The bucket stands in the path, or in the host's name (as a proxy is told)."""
    async with ScriptedServer(answer(x_amz_request_id="1", ETag='"1"')) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        http = HTTP(threads)
        await Connect(http, threads)("http://s3.example.com:9000", addressing=addressing).stat(f"{bucket}/a b")
        await http.aclose()
    request = server.requests[0]
    assert request.target == url
    assert request.headers["host"] == url.split("/")[2]


async def test_directory_objects_with_spaces_are_listed(aws: AWSProvider, prefix: str) -> None:
    """SeaweedFS encodes the last segment otherwise than those before it, also where a slash is behind it."""
    keys = [f"{prefix}{name}" for name in ("a b/", "a b/c d/", "a b/c d/e f", "a b/g+h")]
    for key in keys:
        await aws.write(key, body(b"" if key.endswith("/") else b"x"), OPTIONS)
    for below in (prefix, f"{prefix}a b/"):
        assert sorted(entry.key for entry in (await aws.list_page(below, recursive=True)).entries) == keys


async def test_carriage_return_deletes_no_other_key(aws: AWSProvider, prefix: str) -> None:
    """The key with a line feed stays when the one with a carriage return is deleted, in one request with others."""
    for name in ("a\rb", "a\nb", "a\x02b", "c"):
        await aws.write(f"{prefix}{name}", body(b"x"), OPTIONS)
    await aws.delete([f"{prefix}{name}" for name in ("a\rb", "a\x02b", "c")])
    page = await aws.list_page(prefix, recursive=True)
    assert [entry.key for entry in page.entries] == [f"{prefix}a\nb"]
