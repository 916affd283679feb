"""Options that a remote does not keep are refused by every verb, before anything is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dxflow_async import (
    AsyncAreaStorage,
    AsyncSession,
    AWSSettings,
    AzureSettings,
    Encryption,
    GCPSettings,
    ObjectOptions,
    Settings,
    UnsupportedError,
)
from dxflow_async.providers.engine.settings import EngineSettings
from dxflow_async.providers.sftp.settings import SFTPSettings
from tests.servers.engine import EngineServer

KEY = Encryption.customer(bytes(range(32)))
SYSTEM = [
    ObjectOptions(**{f"c{rest}": "x"})  # type: ignore[arg-type]
    for rest in ("ache_control", "ontent_disposition", "ontent_encoding", "ontent_language")
]
NOTHING_KEPT = [
    *SYSTEM,
    ObjectOptions(storage_class="COLD"),
    ObjectOptions(tags={"a": "b"}),
    *(
        ObjectOptions(encryption=each)
        for each in (Encryption.service(), Encryption.managed("k"), Encryption.scope("s"), KEY)
    ),
]
REFUSED = {
    "aws": [ObjectOptions(encryption=Encryption.scope("s"))],
    "azure": [ObjectOptions(encryption=each) for each in (Encryption.service(), Encryption.managed("k"))],
    "gcp": [
        ObjectOptions(tags={"a": "b"}),
        *(ObjectOptions(encryption=each) for each in (Encryption.service(), Encryption.scope("s"))),
    ],
    "stand-in": NOTHING_KEPT,
    "unit": NOTHING_KEPT,
    "local": NOTHING_KEPT,
    "ssh": NOTHING_KEPT,
    "engine": NOTHING_KEPT,
}
NOWHERE = 1
"""A port that nothing listens on: whatever is sent there is another error."""


@pytest.fixture
async def seen() -> AsyncIterator[tuple[str, list[str]]]:
    """The URL of a server that refuses everything, and what it was asked."""
    asked: list[str] = []

    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path_qs}")
        return web.Response(status=400)

    runner = web.ServerRunner(web.Server(refuse), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}".format(*runner.addresses[0]), asked
    await runner.cleanup()


@asynccontextmanager
async def opened(remote: str, url: str, home: Path) -> AsyncIterator[tuple[AsyncSession, str]]:
    """A session whose clouds are the server, and a directory at a remote."""
    clouds = {
        "aws": AWSSettings(endpoint=url, region="us-east-1", access_key="a", secret_key="b"),
        "azure": AzureSettings(endpoint=f"{url}/account", account="account", account_key="a2V5"),
        "gcp": GCPSettings(endpoint=url, anonymous=True),
    }
    given: dict[str, Any] = {remote: clouds[remote]} if remote in clouds else {}
    stack = AsyncExitStack()
    if remote == "engine":
        engine = await stack.enter_async_context(EngineServer(home.parent / "volume").serve())
        lab = EngineSettings(address=engine.url, key=engine.write_key(home.parent / "key.pem"))
        given = {"units": {"Lab": lab}, "hub": f"http://127.0.0.1:{NOWHERE}"}
    if remote == "ssh":
        asyncssh = pytest.importorskip("asyncssh")
        home.mkdir()  # noqa: ASYNC240 - one call
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(home / "key")
        (home / "known_hosts").touch()
        server = SFTPSettings(
            host="127.0.0.1",
            port=NOWHERE,
            username="me",
            key_files=str(home / "key"),
            known_hosts=home / "known_hosts",
            ssh_config=False,
            agent=False,
        )
        given = {"remotes": {"lab": server}}
    account = ("you@example.com", "password") if remote in ("stand-in", "unit") else ()
    tops = {
        "stand-in": "aws:/bucket/d",
        "unit": "unit:/Demo/d",
        "local": str(home / "d"),
        "engine": "unit:/Lab/d",
        "ssh": "lab:/d",
    }
    top = tops.get(remote)
    async with stack, AsyncSession(*account, settings=Settings(home=home, **given)) as session:
        yield session, top or f"{remote}:/bucket/d"


def files_below(top: Path) -> list[Path]:
    return sorted(each for each in top.rglob("*") if each.is_file() and "jobs" not in each.parts)


def writes(
    session: AsyncSession, storage: AsyncAreaStorage, path: str, location: str, file: str, options: ObjectOptions
) -> dict[str, Callable[[], Awaitable[object]]]:
    """Every way to write, by its name."""

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the stream was read")
        yield b""

    async def opened() -> None:
        async with storage.open(f"{path}/x", "wb", options=options) as opened_file:
            await opened_file.write(b"x")

    async def opened_path() -> None:
        async with (session.path(location) / "x").open("w", options=options) as text:
            await text.write("x")

    return {
        "upload": lambda: storage.upload(file, f"{path}/x", options=options),
        "upload_many": lambda: storage.upload_many([(file, f"{path}/x")], options=options),
        "write": lambda: storage.write(f"{path}/x", never(), options=options),
        "write bytes": lambda: storage.write(f"{path}/x", b"x", options=options, overwrite=False),
        "open": opened,
        "open a path": opened_path,
        "copy": lambda: storage.copy(f"{path}/from", f"{path}/x", options=options),
        "copy a directory": lambda: storage.copy(f"{path}/from/", f"{path}/x/", options=options),
        "move": lambda: storage.move(f"{path}/from", f"{path}/x", options=options),
        "session.copy": lambda: session.copy(file, f"{location}/x", options=options),
        "session.copy of several": lambda: session.copy([file, file], f"{location}/x/", options=options),
        "session.move": lambda: session.move(file, f"{location}/x", options=options, overwrite="if-newer"),
    }


@pytest.mark.parametrize("remote", list(REFUSED))
async def test_every_verb(tmp_path: Path, seen: tuple[str, list[str]], remote: str) -> None:
    """Each option, by each verb: the error names the option, and neither a request nor a file was made."""
    url, asked = seen
    file = tmp_path / "file"
    file.write_bytes(b"x")
    async with opened(remote, url, tmp_path / "home") as (session, location):
        storage, path = await session.storage_at(location)
        path = path.rstrip("/")
        before = len(asked)
        files = files_below(tmp_path)
        for options in REFUSED[remote]:
            (name,) = options.named()
            for verb, call in writes(session, storage, path, location, str(file), options).items():
                with pytest.raises(UnsupportedError, match=name):
                    await call()
                assert asked[before:] == [], (verb, name)
        assert files_below(tmp_path) == files


@pytest.mark.parametrize("kind", ["version", "encryption"])
@pytest.mark.parametrize("remote", ["stand-in", "unit", "local", "ssh", "engine"])
async def test_reads(tmp_path: Path, seen: tuple[str, list[str]], remote: str, kind: str) -> None:
    """Where there are no versions, or no keys, every verb that reads says so, and so does a deletion."""
    async with opened(remote, seen[0], tmp_path / "home") as (session, location):
        storage, path = await session.storage_at(location)
        reachable = remote != "ssh"
        if reachable:
            await storage.write(f"{path}/x", b"x")
        given: dict[str, Any] = {kind: "1" if kind == "version" else KEY}

        async def read() -> bytes:
            return b"".join([chunk async for chunk in storage.read(f"{path}/x", **given)])

        async def opening() -> None:
            await storage.open(f"{path}/x", **given)

        calls: list[Callable[[], Awaitable[object]]] = [
            read,
            opening,
            lambda: storage.stat(f"{path}/x", **given),
            lambda: storage.download(f"{path}/x", str(tmp_path / "y"), **given),
        ]
        if kind == "version":
            calls += [
                lambda: storage.delete(f"{path}/x", version="1"),
                lambda: storage.list(path, versions=True),
                lambda: storage.list(f"{path}/x", versions=True),
            ]
        for call in calls:
            with pytest.raises(UnsupportedError):
                await call()
        assert not (tmp_path / "y").exists()
        assert not reachable or (await storage.stat(f"{path}/x")).size == 1


async def test_adapters(tmp_path: Path, seen: tuple[str, list[str]]) -> None:
    """The file system of fsspec, the store of zarr and that of obspec refuse them, too."""
    pytest.importorskip("fsspec")
    pytest.importorskip("zarr")
    from zarr.core.buffer import cpu

    from dxflow_async.doors.fsspec import DxflowFileSystem
    from dxflow_async.doors.obspec import ObspecStore
    from dxflow_async.doors.zarr import DxflowStore

    (tmp_path / "file").write_bytes(b"x")
    async with opened("gcp", seen[0], tmp_path / "home") as (session, location):
        filesystem, tags = DxflowFileSystem(session=session, asynchronous=True), {"a": "b"}
        store = DxflowStore(location, session=session, object_options=ObjectOptions(tags=tags))
        file, target = str(tmp_path / "file"), "gcp/bucket/d/x"
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: filesystem._pipe_file(target, b"x", tags=tags),
            lambda: filesystem._pipe({target: b"x"}, tags=tags),
            lambda: filesystem._put_file(file, target, tags=tags),
            lambda: filesystem._put([file], [target], tags=tags),
            lambda: filesystem._put(file, target, recursive=True, tags=tags),
            lambda: filesystem._cp_file("gcp/bucket/d/y", target, tags=tags),
            lambda: filesystem._copy("gcp/bucket/d/y", target, tags=tags),
            lambda: filesystem._copy("gcp/bucket/d/", "gcp/bucket/e/", recursive=True, tags=tags),
            lambda: filesystem._mv("gcp/bucket/d/y", target, tags=tags),
            lambda: filesystem._mv_file("gcp/bucket/d/y", target, tags=tags),
            lambda: filesystem.open_async(target, "wb", tags=tags),
            lambda: store.set("x", cpu.Buffer.from_bytes(b"x")),
            lambda: ObspecStore(session.path(location)).put_async("x", b"x", tags=tags),
            lambda: ObspecStore(session.path(location)).put_async("x", tmp_path / "file", tags=tags),
        ]
        for call in calls:
            with pytest.raises(UnsupportedError, match="tags"):
                await call()
    assert seen[1] == []
