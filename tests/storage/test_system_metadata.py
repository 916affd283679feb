"""Copies within one cloud keep what the service stores with an object beside its bytes."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest
from azure.storage.blob import ContentSettings

from dxflow_async import AsyncSession
from tests.servers import Azurite, GCSServer


@pytest.mark.parametrize("verb", ["copy", "move", "sync"])
async def test_azure(everywhere: AsyncSession, azurite: Azurite, container: str, verb: str) -> None:
    """Content type, encoding, language, disposition, cache control and metadata, with and without a time kept."""
    blobs = azurite.client.get_container_client(container)
    settings = ContentSettings(
        content_type="text/x-special",
        content_encoding="gzip",
        content_language="de",
        content_disposition="attachment",
        cache_control="max-age=60",
    )
    for name, metadata in (("from/plain", {"run": "7"}), ("from/timed", {"run": "7", "mtime": "1700000000.5"})):
        await asyncio.to_thread(blobs.upload_blob, name, b"data", content_settings=settings, metadata=metadata)
    await getattr(everywhere, verb)(f"azure:/{container}/from/", f"azure:/{container}/to/")
    for name in ("to/plain", "to/timed"):
        found = await asyncio.to_thread(blobs.get_blob_client(name).get_blob_properties)
        wanted = {field: value for field, value in vars(settings).items() if value is not None}
        assert {field: found.content_settings[field] for field in wanted} == wanted
        assert found.metadata["run"] == "7"
        assert ("mtime" in found.metadata) == (name == "to/timed" or verb == "sync")


@pytest.mark.parametrize("verb", ["copy", "move", "sync"])
async def test_google(everywhere: AsyncSession, gcs: GCSServer, gcs_bucket: str, verb: str) -> None:
    """Content type, encoding, language, disposition, cache control and metadata."""
    fields = {
        "contentType": "text/x-special",
        "contentEncoding": "identity",
        "contentLanguage": "de",
        "contentDisposition": "attachment",
        "cacheControl": "max-age=60",
    }
    await asyncio.to_thread(gcs.put, gcs_bucket, "from/plain", b"data")
    path = f"/storage/v1/b/{gcs_bucket}/o/{quote('from/plain', safe='')}"
    await asyncio.to_thread(gcs.ask, "PATCH", path, {**fields, "metadata": {"run": "7"}})
    before = await asyncio.to_thread(gcs.resource, gcs_bucket, "from/plain")
    await getattr(everywhere, verb)(f"gcp:/{gcs_bucket}/from/", f"gcp:/{gcs_bucket}/to/")
    after = await asyncio.to_thread(gcs.resource, gcs_bucket, "to/plain")
    assert {name: after.get(name) for name in fields} == {name: before.get(name) for name in fields}
    assert after["metadata"]["run"] == "7"
    assert json.dumps(before).count("text/x-special") == 1
