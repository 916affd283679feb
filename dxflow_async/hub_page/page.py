"""The routes of the page, and what starts and ends with the application that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from dxflow_async.hub_page import contents, job_routes, listing, tus, zips
from dxflow_async.hub_page.answers import read_object
from dxflow_async.hub_page.doors import Door
from dxflow_async.hub_page.guard import Guard, add_headers, check_origin, is_https
from dxflow_async.hub_page.openapi import paths_of
from dxflow_async.hub_page.static_files import StaticFiles
from dxflow_async.hub_page.visitors import Visitors
from dxflow_async.hub_page.workspace import Visitor
from dxflow_async.server.common.middleware import ACTIVITY, Activity, handle_errors, mark_answer
from dxflow_async.server.hub.app import MORE_PATHS

__all__ = ["COOKIE", "create_page_app", "mount_page"]

COOKIE = "dxflow-page"


def mount_page(door: Door) -> Callable[[web.Application], None]:
    """Returns a function that adds the page to an application of a server.

    Args:
        door: who may come in.

    Example:
        create_app(home, page=mount_page(AccountDoor(home)))
    """
    return lambda app: _Page(app, door).add_routes()


def create_page_app(door: Door) -> web.Application:
    """Creates an application that serves the page and nothing else."""
    app = web.Application(middlewares=[handle_errors])
    app[ACTIVITY] = Activity()
    app.on_response_prepare.append(mark_answer)
    mount_page(door)(app)
    return app


class _Page:
    def __init__(self, app: web.Application, door: Door) -> None:
        self._app = app
        self._door = door
        self._visitors = Visitors(door.idle)
        self._static = StaticFiles()
        self._guard = Guard(self._visitors, self._cookie, door.advice)

    def add_routes(self) -> None:
        router, guard = self._app.router, self._guard
        before = {*router.routes()}
        self._app.on_response_prepare.append(add_headers)
        self._app.cleanup_ctx.append(self._open)
        router.add_get("/", guard.open(self._show_page))
        router.add_get("/static/{name:.+}", guard.open(self._show_file))
        router.add_post("/page/session", guard.open(self._sign_in))
        router.add_get("/page/session", guard.signed_in(self._show_session))
        router.add_delete("/page/session", guard.signed_in(self._sign_out))
        router.add_get("/page/places", guard.signed_in(_show_places))
        router.add_get("/page/list", guard.signed_in(listing.list_directory))
        router.add_get("/page/search", guard.signed_in(listing.search))
        router.add_get("/page/size", guard.signed_in(listing.show_size))
        router.add_get("/page/file", guard.signed_in(contents.download))
        router.add_get("/page/preview", guard.signed_in(contents.show_preview))
        router.add_get("/page/image", guard.signed_in(contents.show_image))
        router.add_get("/page/zip", guard.signed_in(zips.download_zip))
        tus.add_routes(router, guard)
        job_routes.add_routes(router, guard)
        self._app[MORE_PATHS] = paths_of(route for route in router.routes() if route not in before)

    async def _open(self, app: web.Application) -> AsyncIterator[None]:
        await asyncio.to_thread(self._static.load)
        await self._door.open(app)
        self._visitors.start()
        try:
            yield
        finally:
            try:
                await self._visitors.aclose()
            finally:
                await self._door.aclose()

    async def _show_page(self, request: web.Request) -> web.StreamResponse:
        """`GET /`: the page itself; with a ticket, the visitor is signed in and sent to the page without it."""
        ticket = request.query.get("ticket")
        if ticket is None:
            return self._static.answer(request, "index.html")
        answer = web.Response(status=303, headers={"Location": "./"})
        visitor = await self._door.redeem(ticket)
        if visitor is not None:
            self._set_cookie(request, answer, self._enter(visitor))
        return answer

    async def _show_file(self, request: web.Request) -> web.StreamResponse:
        """`GET static/...`: a file of the page."""
        return self._static.answer(request, request.match_info["name"])

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        """`POST page/session`: signs in."""
        check_origin(request)
        tree = await read_object(request)
        visitor = await self._door.sign_in(request, tree)
        try:
            cookie = self._enter(visitor)
        except web.HTTPException:
            await visitor.aclose()
            raise
        answer = self._session(visitor)
        self._set_cookie(request, answer, cookie)
        return answer

    async def _show_session(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        """`GET page/session`: says who is signed in."""
        return self._session(visitor)

    async def _sign_out(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        """`DELETE page/session`: signs out, and ends what the visitor had open."""
        await self._visitors.remove(visitor)
        answer = web.json_response({})
        answer.del_cookie(self._cookie(request), path=self._door.cookie_path or "")
        return answer

    def _enter(self, visitor: Visitor) -> str:
        self._visitors.check_room(visitor.account)
        return self._visitors.add(visitor)

    def _session(self, visitor: Visitor) -> web.Response:
        tree = {"csrf": visitor.csrf, "email": visitor.email, "namespace": visitor.namespace, "mode": self._door.mode}
        return web.json_response(tree)

    def _set_cookie(self, request: web.Request, answer: web.StreamResponse, cookie: str) -> None:
        # Without a path, browsers take that of page/, with whatever prefix a proxy has put before it.
        answer.set_cookie(
            self._cookie(request),
            cookie,
            path=self._door.cookie_path or "",
            httponly=True,
            samesite="Strict",
            secure=is_https(request),
        )

    def _cookie(self, request: web.Request) -> str:
        """Returns the cookie's name. All ports of this machine share their cookies, so there it has the port."""
        if self._door.mode == "hub":
            return COOKIE
        port = request.host.rpartition(":")[2]
        return f"{COOKIE}-{port}" if port.isdecimal() else COOKIE


async def _show_places(_request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/places`: lists remotes, units and, on the user's own machine, its disks."""
    return web.json_response({"places": [each.to_dict() for each in await visitor.workspace.places()]})
