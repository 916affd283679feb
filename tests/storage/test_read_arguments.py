"""Arguments of `read` that are no numbers of bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, ConfigurationError, Settings


@pytest.mark.parametrize("arguments", [("GCP",), (0, "GCP")])
async def test_range_that_is_no_number(tmp_path: Path, arguments: tuple[Any, ...]) -> None:
    """A provider in the place of an offset is a ConfigurationError that says so."""
    async with AsyncSession(settings=Settings(home=tmp_path)) as session:
        with pytest.raises(ConfigurationError, match="number of bytes"):
            await anext(session.get_storage_manager().read("/bucket/x", *arguments))
