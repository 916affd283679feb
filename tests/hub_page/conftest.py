"""Pages for tests of transfers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import Settings
from dxflow_async.config.settings import AzureSettings
from tests.hub_page.page_client import Browser, running_page
from tests.servers import Azurite, SeaweedFS
from tests.sessions import MiB, settings_for


@pytest.fixture
async def disk_user(tmp_path: Path) -> AsyncIterator[Browser]:
    """The page of somebody who has this machine's disks."""
    async with running_page(Settings(home=tmp_path / "home", sdk_configuration=False)) as browser:
        yield browser


@pytest.fixture
async def user(tmp_path: Path) -> AsyncIterator[Browser]:
    """The page of somebody who has this machine's disks and the embedded hub's unit."""
    settings = Settings(home=tmp_path / "home", sdk_configuration=False)
    async with running_page(settings, email="me@example.org", password="correct horse") as browser:
        yield browser


@pytest.fixture
async def cloud_user(weed: SeaweedFS, azurite: Azurite, tmp_path: Path) -> AsyncIterator[Browser]:
    """The page of somebody who has S3 and Azure."""
    azure = AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key)
    settings = replace(settings_for(weed, tmp_path / "home", part_size=5 * MiB), azure=azure)
    async with running_page(settings) as browser:
        yield browser
