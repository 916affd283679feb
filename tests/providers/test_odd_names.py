"""Keys that S3 allows and SeaweedFS changes, at moto, which keeps them as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import NotFoundError
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.http import HTTP
from tests.providers.in_memory_bodies import body, read
from tests.servers import MotoServer

NAMES = [
    "a//b",
    "/lead",
    "trail/",
    "a/./b",
    "a/../b",
    "back\\slash",
    "//",
    "ctrl\x01\x1f",
    "\ufffe",
    " ",
    "+",
    "%2F",
]


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """One server for the tests of this file."""
    with MotoServer.start(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def aws(moto: MotoServer, http: HTTP, threads: Threads) -> AWSProvider:
    """The provider there."""
    http.stall_timeout = 30.0
    settings = AWSSettings(endpoint=moto.endpoint, access_key=moto.access_key, secret_key=moto.secret_key)
    return AWSProvider(settings, http, threads)


async def keys(aws: AWSProvider, prefix: str) -> list[str]:
    """A listing of one page."""
    page = await aws.list_page(prefix, recursive=True)
    assert page.cursor is None
    return [entry.key.removeprefix(prefix) for entry in page.entries]


async def test_existing_odd_keys(moto: MotoServer, aws: AWSProvider) -> None:
    """Keys with empty, '.' or '..' segments, a slash at an end, or control characters are listed, read and deleted."""
    bucket = moto.create_bucket("odd-existing")
    for name in NAMES:
        await aws.write(f"{bucket}/{name}", body(name.encode()), ObjectOptions())
    assert await keys(aws, f"{bucket}/") == sorted(NAMES, key=str.encode)
    for name in NAMES:
        assert await read(aws, f"{bucket}/{name}") == name.encode()
        assert (await aws.stat(f"{bucket}/{name}")).size == len(name.encode())
    for name in NAMES[:-1]:
        await aws.delete([f"{bucket}/{name}"])
        with pytest.raises(NotFoundError):
            await aws.stat(f"{bucket}/{name}")
    assert await keys(aws, f"{bucket}/") == NAMES[-1:]


async def test_trailing_slash_with_a_body(moto: MotoServer, aws: AWSProvider) -> None:
    """A key that ends in a slash and has bytes is an object, not a directory."""
    bucket = moto.create_bucket("odd-trailing")
    await aws.write(f"{bucket}/trail/", body(b"bytes"), ObjectOptions())
    await aws.write(f"{bucket}/marker/", body(b""), ObjectOptions())
    page = await aws.list_page(f"{bucket}/", recursive=True)
    assert [(entry.key, entry.directory) for entry in page.entries] == [
        (f"{bucket}/marker/", True),
        (f"{bucket}/trail/", False),
    ]


async def test_order_of_names_that_start_alike(moto: MotoServer, aws: AWSProvider) -> None:
    """The order is that of the keys' bytes, a slash being one of them."""
    bucket = moto.create_bucket("odd-order")
    names = ["a", "a-b", "a.b", "a/b", "a0", "b"]
    for name in reversed(names):
        await aws.write(f"{bucket}/{name}", body(b"x"), ObjectOptions())
    assert await keys(aws, f"{bucket}/") == names
    page = await aws.list_page(f"{bucket}/", recursive=False)
    assert [entry.key for entry in page.entries] == [
        f"{bucket}/{name}" for name in ("a", "a-b", "a.b", "a/", "a0", "b")
    ]


async def test_many_buckets(moto: MotoServer, aws: AWSProvider) -> None:
    """The list of buckets may be long."""
    names = [f"many-{number:04}-{'x' * 50}" for number in range(600)]
    for name in names:
        moto.client.create_bucket(Bucket=name)
    page = await aws.list_page("many-", recursive=False)
    assert [entry.key for entry in page.entries] == [f"{name}/" for name in names]
