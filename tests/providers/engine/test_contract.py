"""The provider contract at engines: as the documentation has them, and with each other behaviour alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dxflow_async.testing import ProviderContract, ProviderUnderTest
from tests.providers.engine.connected_engine import under_test
from tests.servers.engine_switches import QUIRKS, Switches


class TestDocumented(ProviderContract):
    """An engine as the documentation has it."""

    @pytest_asyncio.fixture
    async def subject(self, tmp_path: Path) -> AsyncIterator[ProviderUnderTest]:
        async with under_test(tmp_path) as made:
            yield made


@pytest.mark.long
@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: f"{quirk[0]}={quirk[1]}")
class TestOtherwise(ProviderContract):
    """An engine that does one thing in another way."""

    @pytest_asyncio.fixture
    async def subject(self, tmp_path: Path, quirk: tuple[str, Any]) -> AsyncIterator[ProviderUnderTest]:
        async with under_test(tmp_path, Switches(**{quirk[0]: quirk[1]})) as made:
            yield made
