"""A session at the small Azure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dxflow_async import AsyncSession, AzureSettings, Settings
from tests.dialects.azure_server import AzureServer
from tests.sessions import retry_soon

__all__ = ["open_session"]


@asynccontextmanager
async def open_session(server: AzureServer, home: Path) -> AsyncIterator[AsyncSession]:
    """Opens a session with the account's key and little patience."""
    azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5")
    async with AsyncSession(settings=Settings(home=home, azure=azure)) as session:
        retry_soon(session)
        yield session
