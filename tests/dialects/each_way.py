"""Every verb that writes, each once, at a server that keeps what is stored with objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AsyncSession, AzureSettings, GCPSettings, ObjectOptions, Settings
from tests.dialects.azure_server import AzureServer
from tests.dialects.google_server import GoogleServer
from tests.dialects.s3_server import S3Server
from tests.sessions import MiB, retry_soon

__all__ = [
    "SYSTEM",
    "open_azure",
    "open_google",
    "stored_at_azure",
    "stored_at_google",
    "stored_at_s3",
    "write_each_way",
]

CLASS = "x-amz-storage-class"
SYSTEM: dict[str, Any] = {
    "cache_control": "max-age=60",
    "content_disposition": "attachment",
    "content_encoding": "x-own",
    "content_language": "de",
}


def open_azure(server: AzureServer, home: Path, **settings: Any) -> AsyncSession:
    """A session at the server, which cuts objects above 5 MiB into parts."""
    azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5", **settings)
    session = AsyncSession(settings=Settings(home=home, azure=azure, part_size=5 * MiB))
    retry_soon(session)
    return session


def open_google(server: GoogleServer, home: Path, **settings: Any) -> AsyncSession:
    """A session at the server, with a service account's file in `home`."""
    home.mkdir(exist_ok=True)
    gcp = GCPSettings(endpoint=server.url, service_file=server.service_file(home), **settings)
    session = AsyncSession(settings=Settings(home=home, gcp=gcp, part_size=5 * MiB))
    retry_soon(session)
    return session


def stored_at_s3(server: S3Server, name: str) -> dict[str, str]:
    """What is stored with an object, by the names of `ObjectOptions`."""
    found = server.stored(name)
    names = {**{each: each.replace("_", "-") for each in (*SYSTEM, "content_type")}, "storage_class": CLASS}
    kept = {option: found.headers.get(header, "") for option, header in names.items()} | {"tags": found.tags}
    return {option: value for option, value in kept.items() if value}


def stored_at_azure(server: AzureServer, name: str) -> dict[str, str]:
    """What is stored with a blob, by the names of `ObjectOptions`."""
    blob = server.content[name]
    found = {header.replace("-", "_"): value for header, value in blob.system.items()}
    found |= {"content_type": blob.content_type, "storage_class": blob.tier, "tags": blob.tags}
    return {option: value for option, value in found.items() if value}


def stored_at_google(server: GoogleServer, name: str) -> dict[str, str]:
    """What is stored with an object, by the names of `ObjectOptions`."""
    resource: Mapping[str, Any] = server.objects[name].resource
    fields = {each: f"content{each[8:].title()}" for each in SYSTEM if each.startswith("content_")}
    fields |= {"cache_control": "cacheControl", "content_type": "contentType", "storage_class": "storageClass"}
    return {option: resource[field] for option, field in fields.items() if resource.get(field)}


async def stream(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), MiB):
        yield data[start : start + MiB]


async def write_each_way(
    session: AsyncSession, top: str, directory: Path, size: int, options: ObjectOptions | None
) -> list[str]:
    """Writes an object with each verb, and returns their names below the directory `top`."""
    storage, path = await session.storage_at(top)
    for name in ("file", "moved file", "tree/a", "tree/b"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(b"x" * size)
    file, data = str(directory / "file"), b"x" * size
    given: dict[str, Any] = {} if options is None else {"options": options}
    for name in ("from", "moving", "renaming"):
        await storage.write(f"{path}/plain/{name}", stream(data))
    calls: dict[str, Callable[[str], Awaitable[object]]] = {
        "upload": lambda name: storage.upload(file, name, **given),
        "upload many": lambda name: storage.upload_many([(file, name)], **given),
        "upload new": lambda name: storage.upload(file, name, overwrite=False, **given),
        "write": lambda name: storage.write(name, stream(data), **given),
        "write bytes": lambda name: storage.write(name, data, overwrite="skip", **given),
        "copy": lambda name: storage.copy(f"{path}/plain/from", name, **given),
        "move": lambda name: storage.move(f"{path}/plain/moving", name, **given),
        "copy of a session": lambda name: session.copy(file, f"{top}/{name.rpartition('/')[2]}", **given),
        "move of a session": lambda name: session.move(
            str(directory / "moved file"), f"{top}/{name.rpartition('/')[2]}", **given
        ),
    }
    for name, call in calls.items():
        await call(f"{path}/{name}")
    async with storage.open(f"{path}/opened", "wb", **given) as opened:
        await opened.write(data)
    async with (session.path(top) / "opened path").open("xb", **given) as opened:
        await opened.write(data)
    await storage.upload(f"{directory}/tree/", f"{path}/tree/", **given)
    await session.copy(f"{top}/plain/", f"{top}/copied/", **given)
    trees = ["tree/a", "tree/b", "copied/from", "copied/renaming"]
    if options is None:  # a sync takes none
        await session.sync(f"{directory}/tree/", f"{top}/synced/")
        trees += ["synced/a", "synced/b"]
    return [*calls, "opened", "opened path", *trees, *await _write_by_fsspec(session, top, file, data, options)]


async def _write_by_fsspec(
    session: AsyncSession, top: str, file: str, data: bytes, options: ObjectOptions | None
) -> list[str]:
    """Writes objects with the file system of fsspec, and returns their names."""
    pytest.importorskip("fsspec", reason="the file system is fsspec's")
    from dxflow_async.doors.fsspec import DxflowFileSystem

    storage, path = await session.storage_at(top)
    for name in ("one", "tree/one", "tree/two"):
        await storage.write(f"{path}/moving by fsspec/{name}", stream(data))
    top = top.replace(":", "")
    plain, moving = f"{top}/plain/from", f"{top}/moving by fsspec"
    filesystem = DxflowFileSystem(session=session, asynchronous=True, skip_instance_cache=True, object_options=options)
    await filesystem._pipe_file(f"{top}/piped", data)
    await filesystem._pipe({f"{top}/piped too": data})
    await filesystem._put_file(file, f"{top}/put")
    await filesystem._put([file], [f"{top}/put many"])
    await filesystem._put(str(Path(file).parent / "tree"), f"{top}/put tree", recursive=True)
    await filesystem._cp_file(plain, f"{top}/cp file")
    await filesystem._copy(plain, f"{top}/cp")
    await filesystem._copy(f"{top}/plain/", f"{top}/cp tree", recursive=True)
    await filesystem._mv(f"{moving}/one", f"{top}/mv")
    await filesystem._mv(f"{moving}/tree", f"{top}/mv tree", recursive=True)
    async with await filesystem.open_async(f"{top}/opened by fsspec", "wb") as file_opened:
        await file_opened.write(data)  # type: ignore[union-attr]
    trees = ["put tree/a", "put tree/b", "cp tree/from", "mv tree/one", "mv tree/two"]
    return ["piped", "piped too", "put", "put many", "cp file", "cp", "mv", *trees, "opened by fsspec"]
