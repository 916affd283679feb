"""The commands that serve the page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.hub_page.page_client import ME, browser


@contextlib.asynccontextmanager
async def serving(home: Path, *words: str, **environment: str) -> AsyncIterator[tuple[str, Any]]:
    """The URL that a command prints when it listens, and its process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dxflow_async.cli",
        *words,
        "--json",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DXFLOW_HOME": str(home), **environment},
    )
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())["url"], process
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_ui_opens_a_browser_and_ends_when_told(tmp_path: Path) -> None:
    """It opens the address that it prints, which shows this machine, and an open page does not hold up its end."""
    opened = tmp_path / "opened"
    script = tmp_path / "browser.sh"
    script.write_text(f'#!/bin/sh\necho "$1" > "{opened}"\n')
    script.chmod(0o700)
    async with serving(tmp_path / "home", "ui", BROWSER=f"{script} %s") as (url, process):
        base, _, ticket = url.partition("/?ticket=")
        assert base.startswith("http://127.0.0.1:")
        async with asyncio.timeout(60), browser(base) as user:
            while not (opened.exists() and opened.read_text().strip()):  # noqa: ASYNC110 - written by the browser
                await asyncio.sleep(0.05)
            assert opened.read_text().strip() == url
            await user.enter(ticket)
            places = (await user.get("page/places")).tree["places"]
            assert "local:/" in [each["location"] for each in places]
            async with user.open("GET", "page/events") as response:
                assert response.status == 200
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 143


async def test_hub_serve_has_the_page(tmp_path: Path) -> None:
    """People sign in there without another option."""
    async with serving(tmp_path, "hub", "serve", "--port", "0", "--sign-up") as (url, _), browser(url) as user:
        assert (await user.get("")).headers["Content-Type"].startswith("text/html")
        assert (await user.sign_in(ME)).status == 200


@pytest.mark.long
async def test_hub_serve_has_no_page_if_told_so(tmp_path: Path) -> None:
    """Programs are served all the same."""
    async with serving(tmp_path, "hub", "serve", "--port", "0", "--no-page") as (url, _):
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            assert response.status == 404
        async with aiohttp.ClientSession() as http, http.get(f"{url}/healthz") as response:
            assert response.status == 200
