"""The page behind a reverse proxy that puts it below a prefix."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from dxflow_async.server.common.server import Listening
from tests.hub_page.page_client import ME, browser, running_hub

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-encoding", "content-length"}


@contextlib.asynccontextmanager
async def proxy(target: str, prefix: str) -> AsyncIterator[str]:
    """The URL of a proxy that serves a target below a prefix, and passes on the host that clients name."""

    async def forward(request: web.Request) -> web.StreamResponse:
        url = URL(target + request.rel_url.raw_path_qs.removeprefix(prefix), encoded=True)
        headers = {**request.headers, "X-Forwarded-Proto": "https", "X-Forwarded-For": request.remote or ""}
        body = request.content if request.can_read_body else None
        async with http.request(
            request.method, url, headers=headers, data=body, allow_redirects=False, auto_decompress=False
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    app = web.Application(client_max_size=0)
    app.router.add_route("*", f"{prefix}/{{rest:.*}}", forward)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}"
        await runner.cleanup()


async def test_everything_works_below_a_prefix(tmp_path: Path) -> None:
    """Cookies stay below it, locations are relative, and the cookie is secure as the trusted proxy says."""
    listening = Listening(trusted_proxies=("127.0.0.1",))
    async with (
        running_hub(tmp_path, listening=listening) as url,
        proxy(url, "/data/hub") as outside,
        browser(outside) as user,
    ):
        page = (await user.get("")).content.decode()
        assert 'src="/' not in page
        assert 'href="/' not in page
        answer = await user.sign_in(ME)
        assert answer.status == 200
        assert "Secure" in answer.headers["Set-Cookie"]
        # A client that speaks http keeps no secure cookie; a browser behind an https proxy does.
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        user.headers["Cookie"] = cookie
        assert (await user.get("page/session")).tree["email"] == ME["email"]
        assert (await user.get("page/list", location="local:/")).code == "outside"
        options = await user.request("OPTIONS", "page/uploads/")
        assert options.headers["Tus-Version"] == "1.0.0"
        async with user.open("GET", "page/events") as response:
            assert (await response.content.readline()).startswith(b"retry:")
        assert (await user.request("DELETE", "page/session")).status == 200
