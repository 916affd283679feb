"""Calls on processes at each provider: what it stores, in whole objects and in parts, comes back equal."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, AzureSettings, GCPSettings
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.servers.ssh import SSHServer
from tests.sessions import MiB, part_files, settings_for, unfinished_uploads
from tests.transfer.executor.trees import content, make_files

pytestmark = pytest.mark.timeout(300)

_ODD = "ein \u00e9 \U0001f680 % #?&+=;'\" name"
"""What users call directories: spaces, accents, and characters that mean something in URLs."""


async def test_one_after_the_other(
    weed: SeaweedFS,
    bucket: str,
    azurite: Azurite,
    container: str,
    gcs: GCSServer,
    gcs_bucket: str,
    tmp_path: Path,
) -> None:
    """A directory goes through S3, Azure, Google, SSH and a unit, and is deleted at each; nothing is left over."""
    files = make_files(tmp_path / _ODD, 5, large=11 * MiB + 7)
    (files / _ODD).mkdir()
    (files / _ODD / _ODD).write_text("odd")
    (files / "nothing").touch()
    with SSHServer.start(tmp_path / "ssh") as ssh:
        settings = settings_for(
            weed,
            tmp_path / "home",
            part_size=5 * MiB,
            azure=AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key),
            gcp=GCPSettings(endpoint=gcs.endpoint),
        )
        remotes: Any = {"lab": ssh.settings()}
        async with AsyncSession("you@example.com", "password", settings=settings, remotes=remotes) as session:
            places = [
                f"aws:/{bucket}/{_ODD}/",
                f"azure:/{container}/{_ODD}/",
                f"gcp:/{gcs_bucket}/{_ODD}/",
                f"lab:/{_ODD}/",
                f"unit:/Demo/{_ODD}/",
            ]
            for source, target in pairwise([f"{files}/", *places, f"{tmp_path}/back/"]):
                report = await session.copy(source, target, processes=1)
                assert (len(report), report.failed, report.verified) == (8, [], 8), target
            assert content(tmp_path / "back") == content(files)
            for place in places:
                storage, path = await session.storage_at(place)
                # A real directory counts as one.
                assert await storage.delete(path, processes=1) in (1, 8), place
                # SeaweedFS keeps empty directories.
                assert not (
                    await storage.list(path, recursive=True) if place.startswith("aws") else await storage.exists(path)
                )
    assert not unfinished_uploads(weed, bucket)
    assert not azurite.uncommitted(container)
    assert not gcs.names(gcs_bucket, "")
    assert not part_files(tmp_path)
