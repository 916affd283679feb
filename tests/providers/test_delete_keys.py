"""Deletions tried again."""

from __future__ import annotations

import re

import pytest

from dxflow_async.exceptions import AccessDeniedError, NetworkError, NotFoundError, ServiceError
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.request import delete_keys
from dxflow_async.transfer.retry import RetryPolicy
from tests.providers.connected_providers import Connect, ConnectAzure, ConnectGCP
from tests.scripted_server import ScriptedServer, answer, hang_up

POLICY = RetryPolicy(3, first_wait=0.0)
KEYS = ["bucket/a", "bucket/b", "bucket/c"]


def reply(**codes: str) -> bytes:
    """The answer to a deletion in which these names failed."""
    rows = "".join(f"<Error><Key>{name}</Key><Code>{code}</Code></Error>" for name, code in codes.items())
    return answer(body=f"<DeleteResult>{rows}</DeleteResult>".encode())


async def tried(aws: AWSProvider) -> dict[str, type[Exception]]:
    """What could not be deleted of `KEYS`, and why."""
    failed = await delete_keys(aws, KEYS, limits=Limits(4, 1 << 20, None), policy=POLICY)
    return {key: type(error) for key, error in failed.items()}


async def test_only_what_may_help_is_tried_again(connect: Connect) -> None:
    """Names that failed for a while are sent again, and no other; what is denied is not."""
    async with ScriptedServer(reply(a="InternalError", b="AccessDenied", c="SlowDown"), reply()) as server:
        assert await tried(connect(server.url)) == {"bucket/b": AccessDeniedError}
    sent = [re.findall(b"<Key>(.)</Key>", request.body) for request in server.requests]
    assert sent == [[b"a", b"b", b"c"], [b"a", b"c"]]


async def test_errors_that_stay(connect: Connect) -> None:
    """After the last try what failed has its error; what was deleted in an earlier one has none."""
    failing = answer("500 Internal", b"<Error><Code>InternalError</Code></Error>")
    async with ScriptedServer(reply(a="InternalError"), failing) as server:
        assert await tried(connect(server.url)) == {"bucket/a": ServiceError}
    assert len(server.requests) == 3
    async with ScriptedServer(reply(a="SlowDown", b="InternalError"), hang_up) as server:
        assert await tried(connect(server.url)) == {"bucket/a": NetworkError, "bucket/b": NetworkError}


async def test_nothing_known_of_any(connect: Connect) -> None:
    """An error of the request as a whole is raised."""
    missing = answer("404 Not Found", b"<Error><Code>NoSuchBucket</Code></Error>")
    async with ScriptedServer(missing) as server:
        with pytest.raises(NotFoundError, match="NoSuchBucket"):
            await tried(connect(server.url))


async def test_several_buckets(connect: Connect) -> None:
    """A bucket that fails as a whole does not stop the others; its keys have its error."""
    missing = answer("404 Not Found", b"<Error><Code>NoSuchBucket</Code></Error>")
    async with ScriptedServer(missing, reply()) as server:
        failed = await connect(server.url).delete(["one/a", "two/b", "one/c", "two/d"])
    assert {key: type(error) for key, error in failed.items()} == {"one/a": NotFoundError, "one/c": NotFoundError}


async def test_name_that_xml_cannot_hold(connect: Connect) -> None:
    """Names sent one by one fail one by one, too."""
    denied = answer("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>")
    async with ScriptedServer(reply(), denied, answer("204 No Content")) as server:
        failed = await connect(server.url).delete(["bucket/a", "bucket/b", "bucket/\x01"])
    assert {key: type(error) for key, error in failed.items()} == {"bucket/\x01": AccessDeniedError}


async def test_name_that_is_refused(connect_azure: ConnectAzure, connect_gcp: ConnectGCP) -> None:
    """A name that a service would take for another one is not sent, and does not keep the others."""
    part = b"--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n--b--\r\n"
    accepted = answer("202 Accepted", part, Content_Type="multipart/mixed; boundary=b")
    async with ScriptedServer(accepted) as server:
        failed = await connect_azure(server.url).delete(["container/a\\b", "container/c"])
    assert (list(failed), len(server.requests)) == (["container/a\\b"], 1)
    async with ScriptedServer(answer("204 No Content", X_GUploader_UploadID="1")) as server:
        failed = await connect_gcp(server.url).delete(["no bucket/a", "bucket/b"])
    assert (list(failed), len(server.requests)) == (["no bucket/a"], 1)


async def test_service_that_is_not_reached(connect_azure: ConnectAzure) -> None:
    """Of many keys sent one by one the rest is not tried when the service cannot be reached; each has the error."""
    async with ScriptedServer(hang_up) as server:
        azure = connect_azure(server.url, account_key=None, sas_token="sv=1&sig=x")
        failed = await azure.delete([f"container/{number}" for number in range(1000)])
    assert len(failed) == 1000
    assert {type(error) for error in failed.values()} == {NetworkError}
    assert len(server.requests) < 50
