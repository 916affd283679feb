"""What a session would give a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.registry import ProviderResources

__all__ = ["session_resources"]


@asynccontextmanager
async def session_resources(name: str, *, ca_bundle: Path | None = None) -> AsyncIterator[ProviderResources]:
    """Opens an HTTP client and worker threads for a provider, and closes them at the end.

    Args:
        name: the remote's, in capitals, as errors show it.
        ca_bundle: certificate authorities to trust besides the system's: a PEM file.
    """
    threads = Threads(4)
    http = HTTP(threads, ca_bundle=ca_bundle)
    try:
        yield ProviderResources(name, http, threads)
    finally:
        await http.aclose()
        threads.close()
