"""Answers in a unit's place: what its server repeats of each request, and what is looked up at servers that do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from dxflow_async import Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NotFoundError, ServiceError, StorageError, TransferError
from dxflow_async.providers.contract import Entry, ObjectOptions, Part
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.unit.protocol import Announced
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import TransferItem
from dxflow_async.transfer.items.rename import RenameItem
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.retry import RetryPolicy
from tests.providers.connected_providers import connect_unit
from tests.providers.in_memory_bodies import body, read
from tests.providers.unit.started_units import own_unit
from tests.scripted_server import ScriptedServer, answer
from tests.server.running_hub import SECRETS

OPTIONS = ObjectOptions()
PAGE = (200, b"<html>Sign in</html>", {"Content-Type": "text/html", "ETag": '"1"'})
FOREIGN: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "page": PAGE,
    "nothing": (200, b"", {}),
    "204": (204, b"", {}),
    "object": (200, b"{}", {}),
    "list": (200, b"[]", {}),
    "xml": (200, b"<Error><Code>InternalError</Code></Error>", {}),
    "error": (200, b'{"error": {"code": "busy", "message": "maintenance"}}', {}),
    "missing": (404, b"<html>Not here</html>", {}),
}


async def in_parts(unit: UnitProvider) -> None:
    """Writes a file in two parts."""
    upload = await unit.start_upload("parts", 10, OPTIONS)
    parts = [Part(1, 0, 5), Part(2, 5, 5)]
    await upload.finish([await upload.write_part(part, body(b"bytes")) for part in parts], None)


VERBS: dict[str, Callable[[UnitProvider], Awaitable[object]]] = {
    "list": lambda unit: unit.list_page("", recursive=True),
    "one directory": lambda unit: unit.list_directory("directory/"),
    "stat": lambda unit: unit.stat("file"),
    "read": lambda unit: read(unit, "file"),
    "range": lambda unit: read(unit, "file", 1, 3),
    "write": lambda unit: unit.write("new", body(b"bytes"), OPTIONS),
    "parts": in_parts,
    "copy": lambda unit: unit.copy(Entry("file", 5), "copied", OPTIONS),
    "rename": lambda unit: unit.rename("file", "renamed"),
    "delete": lambda unit: unit.delete_one("file"),
    "make directory": lambda unit: unit.make_directory("made/"),
    "remove directory": lambda unit: unit.remove_directory("directory/"),
}


@dataclass
class Between:
    """Stands between a provider and a unit.

    Attributes:
        unit: the unit's URL.
        reply: what is answered in its place; None: what it answers itself.
        reaches: the unit gets the requests all the same.
        first: only so many requests are answered so.
        seen: methods and paths of the requests that were.
    """

    unit: str
    reply: tuple[int, bytes, dict[str, str]] | None = None
    reaches: bool = False
    first: int = 1000
    seen: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Passes a request on, or answers it."""
        data, foreign = await request.read(), self.reply is not None and request.method != "OPTIONS"
        if foreign:
            self.seen.append(f"{request.method} {request.path}")
            foreign = len(self.seen) <= self.first
        if not foreign or self.reaches:
            async with ClientSession(self.unit, auto_decompress=False) as session:
                method, path, sent = request.method, str(request.rel_url), request.headers
                async with session.request(method, path, headers=sent, data=data or None) as response:
                    content = await response.read()
                    headers = {k: v for k, v in response.headers.items() if k not in ("Content-Length", "Date")}
                    if not foreign:
                        return web.Response(status=response.status, body=content or None, headers=headers)
        assert self.reply is not None
        status, content, headers = self.reply
        return web.Response(status=status, body=content, headers=headers)


@asynccontextmanager
async def between(root: Path) -> AsyncIterator[Between]:
    """A unit of ours that has `file` and an empty directory, and what stands before it."""
    (root / "directory").mkdir(parents=True)
    (root / "file").write_bytes(b"bytes")
    async with own_unit(root) as url:
        stands = Between(url)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", stands.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            stands.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield stands
        finally:
            await runner.cleanup()


@pytest.mark.parametrize("reaches", [False, True], ids=["not done", "done"])
async def test_foreign_answers(http: HTTP, threads: Threads, tmp_path: Path, *, reaches: bool) -> None:
    """No verb takes an answer that does not repeat its request for the unit's, whether it was done or not."""
    for number, (verb, attempt) in enumerate(VERBS.items()):
        async with between(tmp_path / str(number)) as stands:
            unit = await connect_unit("Demo", stands.url, SECRETS.rw, http, threads)
            for name, stands.reply in FOREIGN.items():
                stands.reaches = reaches and name == "page"
                try:
                    await attempt(unit)
                except StorageError as error:
                    assert error.retryable, (verb, name, error)  # noqa: PT017 - of many
                else:
                    raise AssertionError(f"{verb} believed {name}")


async def test_foreign_answers_where_nothing_is_announced(http: HTTP, threads: Threads, tmp_path: Path) -> None:
    """A server that signs nothing is not believed to have done what a look does not find done."""
    changing = ("write", "parts", "copy", "rename", "delete", "remove directory")
    async with between(tmp_path / "unit") as stands:
        for announced in (Announced(), Announced(ours=frozenset({"stat", "rename", "prune"}))):
            unit = UnitProvider("Demo", stands.url, SECRETS.rw, http, threads, announced)
            for verb in changing:
                if verb == "rename" and not announced.ours:
                    continue
                for name in ("page", "nothing", "204", "object", "list"):
                    stands.reply, stands.first, stands.seen = FOREIGN[name], 1, []
                    if verb == "remove directory" and not announced.ours:
                        stands.reply = None
                    if stands.reply is None:
                        continue
                    with pytest.raises(StorageError):
                        await VERBS[verb](unit)
        assert sorted(path.name for path in (tmp_path / "unit").iterdir() if path.name != ".dx-uploads") == [
            "directory",
            "file",
        ]


async def test_answers_without_the_protocol_s_status(http: HTTP, threads: Threads, tmp_path: Path) -> None:
    """Another success than the protocol's passes where a look finds that it was done."""
    async with between(tmp_path / "unit") as stands:
        unit = UnitProvider("Demo", stands.url, SECRETS.rw, http, threads, Announced())
        for name in ("nothing", "204"):
            stands.reply, stands.reaches, stands.first, stands.seen = FOREIGN[name], True, 1, []
            await unit.copy(Entry("file", 5), "copied", OPTIONS)
            stands.seen = []
            await unit.delete_one("copied")
        assert not (tmp_path / "unit/copied").exists()


async def test_stale_answers(http: HTTP, threads: Threads) -> None:
    """The answer to another request is not taken for this one's."""
    stale = answer(body=b"[]", Dx_Request="0123456789ab-1")
    async with ScriptedServer(stale) as server:
        unit = UnitProvider("Demo", server.url, "s", http, threads, Announced(ours=frozenset({"echo", "order"})))
        with pytest.raises(ServiceError, match="repeat") as raised:
            await unit.list_page("", recursive=True)
        assert raised.value.retryable


async def test_stat_that_names_another_file(http: HTTP, threads: Threads) -> None:
    """What is said of another file than was asked for is not taken for it."""
    item = {"name": "other", "directory": False, "size": 1, "modification": 1.5}
    for name in ("other", 1, None):
        async with ScriptedServer(answer(body=json.dumps({**item, "name": name}).encode())) as server:
            unit = UnitProvider("Demo", server.url, "s", http, threads, Announced(ours=frozenset({"stat"})))
            with pytest.raises(ServiceError):
                await unit.stat("directory/file")


async def test_page_in_the_place_of_what_a_server_can_do(http: HTTP, threads: Threads) -> None:
    """A page is not taken for a server that can do the core only; an answer of nothing is."""
    async with ScriptedServer(answer(body=b"<html>Sign in</html>")) as server:
        with pytest.raises(ServiceError, match="which protocol") as raised:
            await connect_unit("Demo", server.url, "s", http, threads)
        assert raised.value.retryable
    async with ScriptedServer(answer("204 No Content")) as server:
        assert not (await connect_unit("Demo", server.url, "s", http, threads)).features.rename


@pytest.mark.parametrize("version", ["0.2.2", "2.0.0"])
async def test_another_version_of_the_protocol(http: HTTP, threads: Threads, version: str) -> None:
    """An answer of another version of tus is refused."""
    async with ScriptedServer(answer("201 Created", Location="/u", Tus_Resumable=version)) as server:
        unit = UnitProvider("Demo", server.url, "s", http, threads)
        with pytest.raises(ServiceError, match=f"version {version}"):
            await unit.write("a", body(b"x"), OPTIONS)


async def test_abort_is_tried_again(http: HTTP, threads: Threads, tmp_path: Path) -> None:
    """Parts whose removal another server answers are removed by the next try; one that fails can be made again."""
    async with between(tmp_path / "unit") as stands:
        unit = await connect_unit("Demo", stands.url, SECRETS.rw, http, threads)
        for first in (1, 3):
            upload = await unit.start_upload("parts", 10, OPTIONS)
            await upload.write_part(Part(1, 0, 5), body(b"bytes"))
            stands.reply, stands.first, stands.seen = PAGE, first, []
            if first == 3:
                with pytest.raises(ServiceError, match="repeat"):
                    await upload.abort()
            await upload.abort()
            stands.reply = None
            assert [path for path in (tmp_path / "unit/.dx-uploads").iterdir() if path.suffix == ".info"] == []


# Renaming


async def renamed(resources: Resources, unit: UnitProvider) -> Exception | None:
    """Renames `file` by the engine; its error."""
    found = await unit.stat("file")

    async def plan(route: TransferContext) -> AsyncIterator[TransferItem]:
        yield RenameItem(route, Place(unit, "file", "file"), Place(unit, "renamed", "renamed"), found)

    try:
        call = resources.begin(JobSpec("move", "file", "renamed"), None)
        report = await call.run(plan(call.context))
    except TransferError as error:
        report = error.report
    (result,) = report
    return result.error


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """What a session owns; it does not wait between tries."""
    resources = Resources(Settings(home=tmp_path / "home"))
    resources.policy = RetryPolicy(max_attempts=3, sleep=lambda _: asyncio.sleep(0))
    yield resources
    await resources.aclose()


@pytest.mark.parametrize("reaches", [False, True], ids=["not done", "done"])
async def test_rename_whose_answer_is_lost(resources: Resources, tmp_path: Path, *, reaches: bool) -> None:
    """A rename whose answer is another server's is done once, whether that request was done or not."""
    root = tmp_path / "unit"
    async with between(root) as stands:
        unit = await connect_unit("Demo", stands.url, SECRETS.rw, resources.http, resources.threads)
        rename, count = unit.rename, 0

        async def once(source: str, key: str) -> None:
            nonlocal count
            count += 1
            stands.reply, stands.reaches = (PAGE, reaches) if count == 1 else (None, False)
            try:
                await rename(source, key)
            finally:
                stands.reply = None

        unit.rename = once  # type: ignore[method-assign]
        assert await renamed(resources, unit) is None
        assert count == (1 if reaches else 2)
        assert (root / "renamed").read_bytes() == b"bytes"
        assert not (root / "file").exists()


async def test_rename_of_what_is_gone(resources: Resources, tmp_path: Path) -> None:
    """What somebody else removed is not taken for renamed because something has the new name."""
    root = tmp_path / "unit"
    async with between(root) as stands:
        (root / "renamed").write_bytes(b"another")
        unit = await connect_unit("Demo", stands.url, SECRETS.rw, resources.http, resources.threads)
        rename: Any = unit.rename

        async def late(source: str, key: str) -> None:
            (root / "file").unlink(missing_ok=True)
            await rename(source, key)

        unit.rename = late  # type: ignore[method-assign]
        assert isinstance(await renamed(resources, unit), NotFoundError)
        assert (root / "renamed").read_bytes() == b"another"
