"""The provider contract at an Azure server: as the service is, and with each quirk that does not rule it out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from dxflow_async import AzureSettings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.http import HTTP
from dxflow_async.testing import ProviderContract, ProviderUnderTest
from tests.dialects.azure_quirks import AzureQuirks
from tests.dialects.azure_server import AzureServer

QUIRKS = {
    "none": AzureQuirks(),
    "old version": AzureQuirks(newest_version="2017-11-09"),
    "old version without words": AzureQuirks(newest_version="2019-07-07", version_words="none"),
    "no batch": AzureQuirks(batch_refusal=(404, "ResourceNotFound")),
    "no container rights": AzureQuirks(no_container_rights=True),
    "no checksums": AzureQuirks(no_checksums=True),
    "snapshots": AzureQuirks(snapshots=True),
    "soft delete": AzureQuirks(soft_delete=True),
    "no tags": AzureQuirks(no_tags=True),
    "empty pages": AzureQuirks(empty_pages=True),
    "byte order mark": AzureQuirks(mark=True),
    "pages of three": AzureQuirks(page_size=3),
    "odd markers": AzureQuirks(page_size=3, odd_markers=True),
    "types untold": AzureQuirks(untyped=True),
    "pages as errors": AzureQuirks(html_errors=True),
    "no etags of writes": AzureQuirks(no_etags=True),
}


class TestContract(ProviderContract):
    """The contract under each quirk."""

    @pytest.fixture(params=[name if name == "none" else pytest.param(name, marks=pytest.mark.long) for name in QUIRKS])
    async def subject(self, request: pytest.FixtureRequest) -> AsyncIterator[ProviderUnderTest]:
        """The provider at a server of its own, which checks no signatures."""
        if request.node.originalname == "test_presigned_url":
            pytest.skip("only Azurite checks signatures")
        if (request.param, request.node.originalname) == ("no etags of writes", "test_writes_of_one_key_at_a_time"):
            pytest.skip("a write that another one replaced at once is not confirmed")
        threads = Threads(2)
        http = HTTP(threads)
        async with AzureServer(replace(QUIRKS[request.param])) as server:
            settings = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5")
            provider = AzureProvider(settings, http, threads)
            yield ProviderUnderTest(
                provider,
                f"container/area-{uuid4().hex[:6]}/",
                lambda: server.parts,
                keeps_aborted=True,
                refused=frozenset({"...", "tilde~-_."}),
            )
        await http.aclose()
        threads.close()
