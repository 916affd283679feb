"""The routes of jobs, directories and links."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from contextlib import suppress

from aiohttp import web

from dxflow_async.exceptions import AccessDeniedError, UnsupportedError
from dxflow_async.hub_page.answers import Lines, read_object
from dxflow_async.hub_page.directories import files_of
from dxflow_async.hub_page.guard import Guard
from dxflow_async.hub_page.job_plan import JobPlan, are_directories_real
from dxflow_async.hub_page.locations import decode_location
from dxflow_async.hub_page.workspace import Visitor
from dxflow_async.pages.style import STYLE
from dxflow_async.pages.transfer_page import transfer_page
from dxflow_async.server.common.middleware import refusal

__all__ = ["add_routes"]

_REPORT_SECONDS = 0.25
_SETTLE_SECONDS = 0.5
_MAX_LINK_SECONDS = 7 * 86_400

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
# Bars of charts have their widths in attributes.
_REPORT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; style-src-attr 'unsafe-inline'; sandbox; "
    "frame-ancestors 'none'"
)


def add_routes(router: web.UrlDispatcher, guard: Guard) -> None:
    """Adds these routes."""
    router.add_post("/page/jobs", guard.signed_in(start_job))
    router.add_get("/page/jobs", guard.signed_in(list_jobs))
    router.add_post("/page/jobs/count", guard.signed_in(count_items))
    router.add_post("/page/jobs/{id}/{command:pause|resume|cancel|retry}", guard.signed_in(command_job))
    router.add_delete("/page/jobs/{id}", guard.signed_in(dismiss_job))
    router.add_get("/page/jobs/{id}/report", guard.signed_in(show_report))
    router.add_get("/page/events", guard.signed_in(follow_jobs), allow_head=False)
    router.add_post("/page/directories", guard.signed_in(make_directory))
    router.add_post("/page/links", guard.signed_in(make_link))


async def start_job(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`POST page/jobs`: starts a job."""
    plan = JobPlan.of(await read_object(request), visitor.workspace.scope)
    job = await visitor.workspace.jobs.start(plan)
    return web.json_response({"job": job.to_dict()}, status=202)


async def list_jobs(_request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/jobs`: lists the jobs."""
    return web.json_response({"jobs": [each.to_dict() for each in await visitor.workspace.jobs.all()]})


async def count_items(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`POST page/jobs/count`: writes how many files a job would take, and their size, as both grow."""
    plan = JobPlan.of(await read_object(request), visitor.workspace.scope)
    lines = Lines(request)

    async def count() -> None:
        files = size = 0
        due = time.monotonic() + _REPORT_SECONDS
        for location in plan.sources:
            async for item in files_of(visitor.workspace.session, location):
                files, size = files + 1, size + item.size
                if time.monotonic() > due:
                    await lines.send({"files": files, "bytes": size})
                    due = time.monotonic() + _REPORT_SECONDS
        await lines.send({"files": files, "bytes": size, "done": True})

    return await lines.answer(count)


async def command_job(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`POST page/jobs/ID/pause|resume|cancel|retry`: returns the job."""
    workspace = visitor.workspace
    job = workspace.jobs.find(request.match_info["id"])
    match request.match_info["command"]:
        case "pause":
            job.pause()
        case "resume":
            workspace.jobs.check_room()
            job.resume(workspace.session)
        case "cancel":
            await job.cancel(workspace.session)
        case _:
            await workspace.jobs.retry(job)
    if request.match_info["command"] == "pause" and job.handle is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await job.handle.settled()
    return web.json_response({"job": job.to_dict()})


async def dismiss_job(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`DELETE page/jobs/ID`: takes an ended job off the list."""
    jobs = visitor.workspace.jobs
    jobs.dismiss(jobs.find(request.match_info["id"]))
    return web.json_response({})


async def show_report(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/jobs/ID/report`: returns the report page of an ended job."""
    job = visitor.workspace.jobs.find(request.match_info["id"])
    if not job.ended:
        raise refusal(web.HTTPConflict, "not_ended", "the job has no report before it has ended")
    report, failure, interrupted = job.report(), job.failure, job.state == "cancelled"
    text = await asyncio.to_thread(transfer_page, report, failure=failure, interrupted=interrupted)
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})


async def follow_jobs(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`GET page/events`: tells what has changed. It does not keep a visitor signed in."""
    visitor.requests -= 1
    try:
        return await visitor.workspace.jobs.events.follow(request)
    finally:
        visitor.requests += 1


async def make_directory(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`POST page/directories`: makes a directory, and tells whether it is there before something is in it."""
    tree = await read_object(request)
    location = visitor.workspace.scope.check(decode_location(tree.get("location"))).rstrip("/")
    session = visitor.workspace.session
    storage, path = await session.storage_at(location)
    if await storage.exists(path):
        raise refusal(web.HTTPConflict, "exists", "something of that name exists already")
    try:
        await storage.mkdir(path)
    except UnsupportedError:
        if await are_directories_real(session, location):
            raise
        # A directory is what names of objects begin with. Nothing is stored, so that nothing is left behind.
        return web.json_response({"exists": False})
    return web.json_response({"exists": True}, status=201)


async def make_link(request: web.Request, visitor: Visitor) -> web.StreamResponse:
    """`POST page/links`: returns a URL of a file that works without an account, for a limited time."""
    tree = await read_object(request)
    location = visitor.workspace.scope.check(decode_location(tree.get("location")))
    expires = tree.get("expires", 3600)
    if isinstance(expires, bool) or not isinstance(expires, int | float) or not 1 <= expires <= _MAX_LINK_SECONDS:
        text = f"expires must be 1 to {_MAX_LINK_SECONDS} seconds"
        raise refusal(web.HTTPBadRequest, "invalid_expires", text)
    storage, path = await visitor.workspace.session.storage_at(location)
    with suppress(AccessDeniedError):  # signing needs no permission to look
        if location.endswith("/") or (await storage.stat(path)).directory:
            raise refusal(web.HTTPBadRequest, "is_directory", "only files have links, and this is a directory")
    url = await storage.presign(path, float(expires))
    return web.json_response({"url": url, "expires_at": time.time() + expires})
