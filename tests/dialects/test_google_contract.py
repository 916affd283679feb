"""The provider contract at a Google server: as the service is, and with each quirk that does not rule it out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import GCPSettings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from dxflow_async.testing import ProviderContract, ProviderUnderTest
from tests.dialects.google_quirks import ALL_RIGHTS, GoogleQuirks
from tests.dialects.google_server import GoogleServer
from tests.dialects.s3_subject import learn_without_ranges

QUIRKS = {
    "none": GoogleQuirks(),
    "requester pays": GoogleQuirks(user_project="payer-7"),
    "no batch": GoogleQuirks(no_batch=True),
    "no multipart": GoogleQuirks(no_multipart=True),
    "no permission test": GoogleQuirks(no_permission_test=True),
    "no kinds": GoogleQuirks(no_kinds=True),
    "no compose": GoogleQuirks(no_compose=501),
    "numbers": GoogleQuirks(numbers=True),
    "empty pages": GoogleQuirks(empty_pages=True),
    "pages of three": GoogleQuirks(page_size=3),
    "odd tokens": GoogleQuirks(page_size=3, odd_tokens=True),
    "odd tokens and empty pages": GoogleQuirks(page_size=3, odd_tokens=True, empty_pages=True),
    "ranges ignored": GoogleQuirks(sends_whole=True),
    "no checksums": GoogleQuirks(no_checksums=True),
    "rewrites in steps": GoogleQuirks(rewrite_size=1),
    "sessions elsewhere": GoogleQuirks(sessions_elsewhere=True),
    "no bucket rights": GoogleQuirks(rights=frozenset(name for name in ALL_RIGHTS if "objects" in name)),
}

UNMET = {
    "ranges ignored": {"test_reported_checksum_is_that_of_the_bytes": "whole bodies have no checksum"},
    "no checksums": {
        "test_body_of_several_buffers": "no checksum is stored",
        "test_reported_checksum_is_that_of_the_bytes": "no checksum is stored",
    },
}
"""Tests of the contract that do not hold under a quirk, and why."""


class TestContract(ProviderContract):
    """The contract under each quirk."""

    @pytest.fixture(params=[name if name == "none" else pytest.param(name, marks=pytest.mark.long) for name in QUIRKS])
    async def subject(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ProviderUnderTest]:
        """The provider at a server of its own."""
        unmet = UNMET.get(request.param, {}).get(request.node.originalname)
        if unmet is not None:
            pytest.skip(unmet)
        threads = Threads(2)
        http = HTTP(threads)
        quirks = replace(QUIRKS[request.param])
        async with GoogleServer(quirks) as server:
            settings = GCPSettings(
                endpoint=server.url, service_file=server.service_file(tmp_path), user_project=quirks.user_project
            )
            provider = GCPProvider(settings, http, threads)
            if quirks.sends_whole:  # single calls do not learn it: the engine repeats the first ones
                learn_without_ranges(provider)
            yield ProviderUnderTest(provider, f"bucket/area-{uuid4().hex[:6]}/", lambda: server.parts)
        await http.aclose()
        threads.close()
