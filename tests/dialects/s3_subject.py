"""The S3 provider at a small S3 server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.common.confirm import range_ignored
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.http import HTTP, Call
from dxflow_async.testing import ProviderUnderTest
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server

__all__ = ["PART_SIZE", "aws_settings", "learn_without_ranges", "s3_subject"]

PART_SIZE = 1024
"""The smallest part of an upload, in bytes: tests of many servers want small objects."""


def aws_settings(server: S3Server, **settings: Any) -> AWSSettings:
    """Returns the settings for a server, and others."""
    given: dict[str, Any] = {"access_key": server.access_key, "secret_key": server.secret_key, **settings}
    return AWSSettings(endpoint=server.endpoint, region=server.region, **given)


def learn_without_ranges(provider: Provider) -> None:
    """Has a provider learn that its server ignores ranges, which two answers show."""
    for _ in range(2):
        range_ignored(provider, Call(provider.name, "read", "/learned"), 200)


@asynccontextmanager
async def s3_subject(quirks: Quirks, refused: frozenset[str] = frozenset()) -> AsyncIterator[ProviderUnderTest]:
    """Starts a server and yields a provider for it.

    Args:
        quirks: of the server.
        refused: as in `ProviderUnderTest`.
    """
    threads = Threads(4)
    http = HTTP(threads)
    try:
        async with S3Server(quirks, min_part_size=PART_SIZE) as server:
            settings = aws_settings(server, requester_pays=quirks.requester_pays)
            provider = AWSProvider(settings, http, threads)
            if quirks.ignores_range:  # single calls do not learn it: the engine repeats the first ones
                learn_without_ranges(provider)
            provider.features = replace(provider.features, min_part_size=PART_SIZE)
            yield ProviderUnderTest(
                provider,
                "bucket/area/",
                server.unfinished,
                refused=refused,
                with_secret=lambda secret: AWSProvider(replace(settings, secret_key=secret), http, threads),
                page_size=quirks.page_size,
                looks=(0.01,),
            )
            await http.aclose()
    finally:
        await http.aclose()
        threads.close()
