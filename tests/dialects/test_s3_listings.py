"""Listings of version 1, and directory markers, at servers that treat names in their own way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import ServiceError
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.http import HTTP
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.scripted_server import ScriptedServer, answer

KEYS = ["a b", "a+b", "a%20b", "dir/", "dir/x", "dir/y", "dir/z/1", "dir0", "x/1", "x/2", "ünï/ö", "\U0001f600"]
NAMES = sorted(KEYS, key=str.encode)
TOP = ["a b", "a%20b", "a+b", "dir/", "dir0", "x/", "ünï/", "\U0001f600"]

OLD = {
    "ignored": Quirks(v1_only="ignored"),
    "refused": Quirks(v1_only="refused"),
    "no NextMarker": Quirks(v1_only="ignored", no_next_marker=True),
    "plain": Quirks(v1_only="refused", ignores_encoding=True),
    "plain, no NextMarker": Quirks(v1_only="ignored", ignores_encoding=True, no_next_marker=True),
    "plain prefixes": Quirks(v1_only="ignored", plain_prefixes=True),
}


async def names(provider: Provider, prefix: str, *, recursive: bool) -> list[str]:
    """Returns the keys of a whole listing, without their bucket."""
    found, cursor = list[str](), None
    while True:
        page = await provider.list_page(prefix, recursive=recursive, cursor=cursor)
        found += [entry.key.removeprefix("bucket/") for entry in page.entries]
        if (cursor := page.cursor) is None:
            return found


@pytest.mark.parametrize("quirks", list(OLD.values()), ids=list(OLD))
@pytest.mark.parametrize("page_size", [2, 50])
async def test_listings_after_a_key(quirks: Quirks, page_size: int, http: HTTP, threads: Threads) -> None:
    """A listing begins after a key there, too, also as the first request of a session."""
    async with S3Server(replace(quirks, page_size=page_size)) as server:
        for key in KEYS:
            server.store(key, b"")
        for after in ("", *NAMES, "dir/x\U0010ffff", "zzz"):
            provider = AWSProvider(aws_settings(server), http, threads)
            for _ in range(2):
                page = await provider.list_after("bucket/", f"bucket/{after}")
                found = list(page.entries)
                while page.cursor is not None:
                    page = await provider.list_page("bucket/", recursive=True, cursor=page.cursor)
                    found += page.entries
                expected = [f"bucket/{name}" for name in NAMES if name.encode() > after.encode()]
                assert [entry.key for entry in found] == expected


@pytest.mark.parametrize("quirks", list(OLD.values()), ids=list(OLD))
@pytest.mark.parametrize("page_size", [1, 2, 5])
async def test_listings_of_version_1(quirks: Quirks, page_size: int, http: HTTP, threads: Threads) -> None:
    """All pages are found, each name once and in order, whether markers are told, encoded, or neither."""
    async with S3Server(replace(quirks, page_size=page_size)) as server:
        provider = AWSProvider(aws_settings(server), http, threads)
        for key in KEYS:
            server.store(key, b"")
        for turn in range(2):
            begun = len(server.requests)
            assert await names(provider, "bucket/", recursive=True) == NAMES
            assert await names(provider, "bucket/", recursive=False) == TOP
            assert await names(provider, "bucket/dir/", recursive=False) == ["dir/", "dir/x", "dir/y", "dir/z/"]
            assert await names(provider, "bucket/missing/", recursive=True) == []
            asked = [request.query for request in server.requests[begun:]]
            assert any("list-type" in query for query in asked) is (turn == 0), "what was learned is remembered"


async def test_a_server_that_ignores_markers(http: HTTP, threads: Threads) -> None:
    """A page that comes again and again is an error, not an endless listing."""
    page = b"<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>"
    async with ScriptedServer(answer(body=page)) as server:
        settings = AWSSettings(endpoint=server.url, access_key="AKIDEXAMPLE", secret_key="secret")
        provider = AWSProvider(settings, http, threads)
        with pytest.raises(ServiceError, match="next page"):
            await names(provider, "bucket/", recursive=True)
        assert len(server.requests) == 2


@pytest.mark.parametrize("files", [True, False])
async def test_deleting_a_marker_keeps_the_object(http: HTTP, threads: Threads, *, files: bool) -> None:
    """A key with a slash at its end never deletes the object without it, alone or among others."""
    async with S3Server(Quirks(files=files)) as server:
        provider = AWSProvider(aws_settings(server), http, threads)
        for key in ("name", "other", "marker/", "gone"):
            server.store(key, b"")
        assert await provider.delete(["bucket/name/"]) == {}
        assert await provider.delete(["bucket/other/", "bucket/marker/", "bucket/gone"]) == {}
        assert sorted(server.objects()) == ["name", "other"]
