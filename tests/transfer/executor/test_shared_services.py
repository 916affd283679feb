"""Long listings at Google Cloud and Azure that are shared out, where the services list from a key and where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, AzureSettings, GCPSettings, Settings
from tests.dialects.azure_quirks import AzureQuirks
from tests.dialects.azure_server import AzureServer
from tests.dialects.google_quirks import GoogleQuirks
from tests.dialects.google_server import GoogleServer
from tests.transfer.executor.listed_server import COUNT, PAGE, know_order, ranges
from tests.transfer.executor.losing_executor import LosingExecutor
from tests.transfer.executor.trees import content

pytestmark = pytest.mark.timeout(60)

FLAT = [f"{number:04}" for number in range(COUNT)]
TREE = [f"run{number:02}{rest}" for number in range(35) for rest in ("-a", "/b")]
"""In the order of a tree, what is in a directory is before everything else that begins like it."""


async def copied(session: AsyncSession, pool: LosingExecutor, source: str, target: str) -> list[str]:
    """Copies a directory on a pool; returns the names that the report has, in their order."""
    await know_order(session, source)
    with pool:
        report = await session.copy(source, target, executor=pool, credentials="send")
    assert not report.failed
    return sorted(each.source.partition("/source/")[2] for each in report)


def share_of_workers(pool: LosingExecutor, names: list[str]) -> float:
    """Which share of the names workers have listed."""
    return 1 - sum(len(shard.items) for shard in pool.shards) / len(names)


@pytest.mark.parametrize("quirks", [{}, {"odd_tokens": True}], ids=["plain", "odd"])
async def test_google(tmp_path: Path, quirks: dict[str, Any]) -> None:
    """Workers list from a key at Google Cloud; each object is copied once, within the service and to this machine."""
    async with GoogleServer(GoogleQuirks(page_size=PAGE, **quirks)) as server:
        for name in FLAT:
            server.put(f"source/{name}", name.encode())
        gcp = GCPSettings(endpoint=server.url, service_file=server.service_file(tmp_path))
        async with AsyncSession(settings=Settings(home=tmp_path / "home", gcp=gcp)) as session:
            for target in ("gcp:/bucket/copy/", f"{tmp_path}/back/"):
                pool = LosingExecutor()
                assert await copied(session, pool, "gcp:/bucket/source/", target) == FLAT
                assert len(ranges(pool)) > 3
                assert share_of_workers(pool, FLAT) > 0.7
        assert [name for name in server.names if name.startswith("copy/")] == [f"copy/{name}" for name in FLAT]
        rewrites = [path for _, path in server.seen if "rewriteTo" in path]
        assert len(rewrites) == len(set(rewrites)) == len(FLAT)
    assert sorted(content(tmp_path / "back")) == FLAT


@pytest.mark.parametrize(
    ("names", "quirks", "least", "most"),
    [
        (FLAT, {"untyped": True}, 0.7, 1.0),
        (FLAT, {"untyped": True, "ignores_start": True}, 0.0, 0.1),
        (TREE, {"untyped": True}, 0.0, 0.1),
        (TREE, {}, 0.0, 0.1),
    ],
    ids=["honoured", "ignored", "tree", "typed tree"],
)
async def test_azure(tmp_path: Path, names: list[str], quirks: dict[str, Any], least: float, most: float) -> None:
    """Workers list from a key; where it is ignored, or names are in another order, no blob is left out."""
    expected = sorted(names)
    async with AzureServer(AzureQuirks(page_size=PAGE, **quirks)) as server:
        for name in names:
            server.put(f"source/{name}", name.encode())
        azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5")
        async with AsyncSession(settings=Settings(home=tmp_path / "home", azure=azure)) as session:
            pool = LosingExecutor()
            assert await copied(session, pool, "azure:/container/source/", "azure:/container/copy/") == expected
        assert [name for name in sorted(server.files) if name.startswith("copy/")] == [f"copy/{n}" for n in expected]
    assert least <= share_of_workers(pool, names) <= most
