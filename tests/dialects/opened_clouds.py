"""Sessions at small servers of each cloud, and what is stored there with an object."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dxflow_async import AsyncSession, AzureSettings, GCPSettings, ObjectOptions, Settings
from tests.dialects.azure_quirks import AzureQuirks
from tests.dialects.azure_server import AzureServer
from tests.dialects.each_way import (
    SYSTEM,
    open_azure,
    open_google,
    stored_at_azure,
    stored_at_google,
    stored_at_s3,
)
from tests.dialects.google_quirks import GoogleQuirks
from tests.dialects.google_server import GoogleServer
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE, aws_settings
from tests.sessions import MiB, retry_soon

__all__ = ["SIZES", "TOPS", "Opened", "Server", "all_opened", "opened", "stored", "tags_of"]

Server = S3Server | AzureServer | GoogleServer
TOPS = {"aws": "aws:/bucket", "azure": "azure:/container", "gcp": "gcp:/bucket"}
SIZES = [pytest.param(10, id="whole"), pytest.param(11 * MiB, id="in parts")]


class Opened(NamedTuple):
    """A session at a server, and the options of what is stored there."""

    session: AsyncSession
    server: Server
    options: ObjectOptions


def tags_of(remote: str) -> dict[str, Any]:
    """The option of tags, where the remote keeps any."""
    return {} if remote == "gcp" else {"tags": {"a": "1 2", "b": "&="}}


def stored(server: Server, name: str) -> dict[str, str]:
    """What is stored with an object, by the names of `ObjectOptions`, with its metadata."""
    if isinstance(server, S3Server):
        return stored_at_s3(server, name) | {"run": server.metadata(name).get("run", "")}
    if isinstance(server, AzureServer):
        return stored_at_azure(server, name) | {"run": server.content[name].metadata.get("run", "")}
    metadata = server.objects[name].resource.get("metadata", {})
    return stored_at_google(server, name) | {"run": metadata.get("run", "")}


@asynccontextmanager
async def opened(remote: str, home: Path, *, refuses: bool = False) -> AsyncIterator[Opened]:
    """A session at a server; it may refuse to copy by itself."""
    options = ObjectOptions("text/x-own", {"run": "7"}, **SYSTEM, **tags_of(remote))
    async with AsyncExitStack() as stack:
        if remote == "aws":
            quirks = Quirks(refuses_copies=(501, "NotImplemented") if refuses else None)
            s3 = await stack.enter_async_context(S3Server(quirks, min_part_size=PART_SIZE))
            yield Opened(await stack.enter_async_context(open_session(s3, home)), s3, options)
        elif remote == "azure":
            no_copies = (403, "AuthorizationFailure") if refuses else None
            azure = await stack.enter_async_context(AzureServer(AzureQuirks(no_copies=no_copies)))
            yield Opened(await stack.enter_async_context(open_azure(azure, home)), azure, options)
        else:
            no_rewrites = (501, "notImplemented") if refuses else None
            google = await stack.enter_async_context(GoogleServer(GoogleQuirks(no_rewrites=no_rewrites)))
            yield Opened(await stack.enter_async_context(open_google(google, home)), google, options)


@asynccontextmanager
async def all_opened(home: Path) -> AsyncIterator[tuple[AsyncSession, dict[str, Server]]]:
    """A session at a server of each kind."""
    async with S3Server() as s3, AzureServer() as azure, GoogleServer() as google:
        settings = Settings(
            home=home,
            aws=aws_settings(s3),
            azure=AzureSettings(endpoint=azure.url, account="account1", account_key="a2V5"),
            gcp=GCPSettings(endpoint=google.url, service_file=google.service_file(home.parent)),
            part_size=5 * MiB,
        )
        async with AsyncSession(settings=settings) as session:
            retry_soon(session)
            yield session, {"aws": s3, "azure": azure, "gcp": google}
