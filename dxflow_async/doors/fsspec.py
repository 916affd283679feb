"""The file system `dxflow://` of fsspec: all storage of a session, the remote first.

`dxflow://aws/bucket/key`, `dxflow://minio/bucket/key`, `dxflow://unit/Demo/dir/file`, `dxflow://local/abs/path`.
pandas, DuckDB, dask, pyarrow and others take such URLs once fsspec is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from fsspec.asyn import AsyncFileSystem, sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.core import get_compression

from dxflow_async.doors.fsspec_bulk import (
    base_of,
    inner_path,
    is_top,
    listed_directory,
    note_listed,
    note_pair,
    of_progress,
)
from dxflow_async.doors.fsspec_directories import DirectoryCalls
from dxflow_async.doors.fsspec_files import CachedFile, FileSystemCalls, OpenedReader, OpenedWriter, layered
from dxflow_async.doors.loop_sessions import LoopSessions
from dxflow_async.doors.own_errors import raise_own_error
from dxflow_async.exceptions import (
    ConfigurationError,
    NotFoundError,
    UnitNotFoundError,
    UnsupportedError,
)
from dxflow_async.models import Item
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.session import AsyncSession
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.writer import AsyncFileWriter
from dxflow_async.storage.path import AsyncStoragePath

__all__ = ["DxflowFileSystem"]

_PART_SIZE = 1 << 20

_SET_BY_LIBRARY = {"public", "modified", "mode", "copied_from", "source_class", "if_absent"}
_STORED = {field.name for field in fields(ObjectOptions)} - _SET_BY_LIBRARY
"""The keyword arguments of writing calls that are stored with objects, and `if_match`."""


class _InstanceCache(type(AsyncFileSystem)):  # type: ignore[misc]
    """Makes instances that fsspec keeps by their arguments, unless these hide secrets.

    fsspec compares the arguments as texts, and the text of settings shows no secret: two accounts would share one
    instance.
    """

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if any(
            options.get(name) is not None for name in ("settings", "remotes", "session", "secrets", "object_options")
        ):
            options.setdefault("skip_instance_cache", True)
            made = super().__call__(*args, **options)
            made._fs_token_ = uuid4().hex  # what compares file systems, for dask too
            return made
        return super().__call__(*args, **options)


class DxflowFileSystem(DirectoryCalls, metaclass=_InstanceCache):
    """All storage of a session as a file system, for blocking and for asynchronous callers.

    Args:
        session: an open session of the caller's event loop, with `asynchronous=True`; by default sessions are made.
        email, password, namespace, secrets, hub, settings, remotes: as for `AsyncSession`.
        storage_type: the area of remotes, `"private"` or `"public"`.
        object_options: what is stored with every object that is written. The fields of `ObjectOptions` are also keyword
            arguments of every method that writes, such as `open`, `pipe`, `put`, `cp` and `mv`, and win.
        options: those of every fsspec file system, such as `asynchronous` and `skip_instance_cache`.

    Example:
        >>> import fsspec
        >>> with fsspec.open("dxflow://aws/bucket/table.csv", "rt") as file:
        ...     print(file.readline())
    """

    protocol = "dxflow"
    root_marker = ""
    cachable = True
    async_impl = True

    def __init__(
        self,
        *,
        session: AsyncSession | None = None,
        storage_type: str = "private",
        object_options: ObjectOptions | None = None,
        email: str | None = None,
        password: str | None = None,
        namespace: str = "diphyx",
        secrets: Mapping[str, Any] | None = None,
        hub: str | None = None,
        settings: Any = None,
        remotes: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._storage_type = storage_type
        self._object_options = object_options or ObjectOptions()
        self._storages: tuple[AsyncSession | None, dict[str, AsyncAreaStorage]] = None, {}
        self._sessions = LoopSessions(
            session,
            email=email,
            password=password,
            namespace=namespace,
            secrets=secrets,
            hub=hub,
            settings=settings,
            remotes=remotes,
        )

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text = os.fspath(path) if isinstance(path, os.PathLike) else str(path)
        return text.removeprefix("dxflow://").removeprefix("dxflow:").strip("/")

    async def aclose(self) -> None:
        """Closes the session of the running event loop, if the file system has made it."""
        await self._sessions.aclose()

    # Looking

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if is_top(path):
            if path not in ("", "unit"):
                await self._at(path)  # refuses names that are no remote's
            return {"name": path, "size": 0, "type": "directory"}
        storage, inner = await self._at(path)
        return _info(base_of(path), await storage.stat(inner))

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: FBT002 - as fsspec has it
        path = self._strip_protocol(path)
        found = [each async for each in self._children(path)]
        if not found:
            info = await self._info(path)
            found = [] if info["type"] == "directory" else [info]
        note_listed(self, found)
        return found if detail else sorted(each["name"] for each in found)

    async def _children(self, path: str) -> AsyncIterator[dict[str, Any]]:
        session = self._sessions.get()
        if not path:
            names = {"aws", "azure", "gcp", "local", "unit", *session.settings.remotes}
            for name in sorted(names):
                yield {"name": name, "size": 0, "type": "directory"}
        elif path == "unit":
            for unit in await session.get_compute_manager().list():
                yield {"name": f"unit/{unit.name}", "size": 0, "type": "directory"}
        else:
            storage, inner = await self._at(path)
            try:
                async for batch in storage.scan(f"{inner.rstrip('/')}/", recursive=False).batches():
                    for item in batch:
                        yield _info(base_of(path), item)
            except NotFoundError:
                return

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,  # noqa: FBT002 - as fsspec has it
        **options: Any,
    ) -> Any:
        path = self._strip_protocol(path)
        detail = options.pop("detail", False)
        if maxdepth is not None or is_top(path) or (withdirs and await self._has_directories(path)):
            walked = await super()._find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **options)
            note_listed(self, walked.values())
            return walked if detail else list(walked)
        storage, inner = await self._at(path)
        base, found = base_of(path), dict[str, dict[str, Any]]()
        try:
            async for batch in storage.scan(f"{inner.rstrip('/')}/", recursive=True).batches():
                for item in batch:
                    if item.directory and not withdirs:
                        continue
                    info = _info(base, item)
                    if withdirs:
                        _add_directories(found, path, info["name"])
                    found[info["name"]] = info
        except NotFoundError:
            found = {}
        if not found:
            with contextlib.suppress(NotFoundError):
                info = await self._info(path)
                if info["type"] == "file":
                    found[path] = info
        elif withdirs:
            found.setdefault(path, {"name": path, "size": 0, "type": "directory"})
        note_listed(self, found.values())
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    async def _isdir(self, path: str) -> bool:
        found: bool | None = listed_directory(self, self._strip_protocol(path))
        if found is None:
            found = await super()._isdir(path)
        return found

    def created(self, path: str) -> datetime:
        """Raises `UnsupportedError`: storage keeps the time of the last modification only."""
        raise UnsupportedError(f"the creation time of {path} is not known; use modified()", operation="created")

    def modified(self, path: str) -> datetime:
        """Returns the time of the last modification. Raises `UnsupportedError` for directories that have none."""
        info = self.info(path)
        if "mtime" not in info:
            raise UnsupportedError(f"{path} is a directory without a time; ask for one of its files", path=path)
        return datetime.fromtimestamp(info["mtime"], tz=UTC)

    # Whole objects

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        storage, inner = await self._at(self._strip_protocol(path))
        await storage.write(inner, _chunks(value), overwrite=mode != "create", **self._write_options(options))

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        mode: str = "overwrite",
        callback: Any = DEFAULT_CALLBACK,
        **options: Any,
    ) -> None:
        rpath = self._strip_protocol(rpath)
        if note_pair(self, os.fspath(lpath), rpath):
            return
        if os.path.isdir(lpath):  # noqa: ASYNC240 - one look
            await self._makedirs(rpath, exist_ok=True)
            return
        storage, inner = await self._at(rpath)
        stored = await self._stored_with("put_file", rpath, options)
        report = of_progress(callback)
        pairs = [(os.fspath(lpath), inner)]
        await raise_own_error(storage.upload_many(pairs, on_progress=report, overwrite=mode != "create", **stored))

    async def _get_file(self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **_: Any) -> None:
        rpath = self._strip_protocol(rpath)
        if not hasattr(lpath, "write") and note_pair(self, rpath, os.fspath(lpath)):
            return
        storage, inner = await self._at(rpath)
        if hasattr(lpath, "write"):
            if callback is not DEFAULT_CALLBACK:
                callback.set_size((await storage.stat(inner)).size)
            async for chunk in storage.read(inner):
                lpath.write(chunk)
                callback.relative_update(len(chunk))
            return
        try:
            await raise_own_error(storage.download_many([(inner, os.fspath(lpath))], on_progress=of_progress(callback)))
        except FileNotFoundError:
            if not await self._isdir(rpath):
                raise
            await asyncio.to_thread(os.makedirs, lpath, exist_ok=True)

    async def _cp_file(self, path1: str, path2: str, **options: Any) -> None:
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if note_pair(self, source, target):
            return
        stored = await self._stored_with("cp_file", target, options)
        if (await self._info(source))["type"] == "directory":
            await self._makedirs(target, exist_ok=True)
            return
        (storage, inner), (other, name) = await self._at(source), await self._at(target)
        await raise_own_error(storage._copy_many([(inner, name)], other, **stored))

    async def _mv_file(self, path1: str, path2: str, **options: Any) -> None:
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        stored = await self._stored_with("mv_file", target, options)
        if "//" in source + target:  # a location has no empty segments
            await self._cp_file(source, target, **options)
            await self._rm_file(source)
        else:
            given = {"storage_type": self._storage_type, **stored}
            await raise_own_error(self._sessions.get().move(self._path(source), self._path(target), **given))

    mv_file = sync_wrapper(_mv_file)

    # Deleting

    async def _rm_file(self, path: str, **_: Any) -> None:
        storage, inner = await self._at(self._strip_protocol(path))
        await storage.delete(inner)

    # Opening

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Mapping[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        """Opens a file, as `AbstractFileSystem.open` does.

        A file that is written is stored when it is closed, whole: an exception in its `with` block stores nothing, also
        of a text or a compressed file.

        Args:
            path: the file.
            mode: `"rb"` or `"r"` to read it, `"wb"` or `"w"` to replace it, `"xb"` or `"x"` to make a new one.
            block_size, cache_options: for the caches of fsspec that read a file.
            compression: the name of a compression of fsspec, or `"infer"`.
            options: `encoding`, `errors` and `newline` of text; the others are those of `open_async`.
        """
        opened = partial(super().open, path, block_size=block_size, cache_options=cache_options)
        if "r" in mode:
            return opened(mode=mode, compression=compression, **options)
        text: dict[str, Any] | None = None
        if "b" not in mode:
            text = {name: options.pop(name) for name in ("encoding", "errors", "newline") if name in options}
            mode = f"{mode.replace('t', '')}b"
        return layered(opened(mode=mode, **options), get_compression(path, compression), text)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> OpenedReader | OpenedWriter | CachedFile:
        calls = FileSystemCalls(self)
        path = self._strip_protocol(path)
        file = calls.call(partial(self.open_async, path, mode, **options))
        if isinstance(file, AsyncFileWriter):
            return OpenedWriter(file, calls, self, path, waits=options.get("autocommit") is False)
        if options.get("cache_type") is not None:
            return CachedFile(self, path, file, calls, options)
        return OpenedReader(file, calls, self, path, _rules_of_reading(options))

    async def open_async(self, path: str, mode: str = "rb", **options: Any) -> AsyncFileReader | AsyncFileWriter:
        """Opens a file for asynchronous callers, in the mode `"rb"`, `"wb"` or `"xb"`.

        Args:
            path: the file.
            mode: `"xb"` writes a new file.
            options: the fields of `ObjectOptions` and `if_match` for a file that is written; `version` and `encryption`
                for one that is read. Other options, such as those of fsspec's caches, are ignored.
        """
        if mode not in ("rb", "wb", "xb"):
            raise ConfigurationError(f"mode = {mode!r} is not allowed; it must be rb, wb or xb")
        storage, inner = await self._at(self._strip_protocol(path))
        rules = _rules_of_reading(options) if mode == "rb" else self._write_options(options)
        opened: Any = storage.open(inner, mode, **rules)
        file: AsyncFileReader | AsyncFileWriter = await opened
        return file

    async def _sign(self, path: str, expiration: float = 3600, **_: Any) -> str:
        storage, inner = await self._at(self._strip_protocol(path))
        url: str = await storage.presign(inner, expiration)
        return url

    sign = sync_wrapper(_sign)

    # Locations

    def _path(self, path: str) -> AsyncStoragePath:
        remote, _, rest = path.partition("/")
        location = f"/{rest}" if remote == "local" else f"{remote}:/{rest}"
        return self._sessions.get().path(location, storage_type=self._storage_type)

    async def _at(self, path: str) -> tuple[Any, str]:
        """Returns the storage and the path there.

        The storages of remotes are kept: each call finds the remote anew anyway, and its names stay as they are.
        """
        base = base_of(path)
        if base == "local" or base.startswith("unit"):
            try:
                return await self._path(path)._at()
            except UnitNotFoundError as error:
                raise NotFoundError(str(error), path=path) from error
        session = self._sessions.get()
        owner, storages = self._storages
        if owner is not session:
            storages = {}
            self._storages = session, storages
        storage = storages.get(base)
        if storage is None:
            storage = storages[base] = session.get_storage_manager().at(base, storage_type=self._storage_type)
        return storage, inner_path(path)

    def _write_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of a call that writes."""
        given = {name: options[name] for name in _STORED if options.get(name) is not None}
        condition = given.pop("if_match", None)
        stored: dict[str, Any] = {"options": replace(self._object_options, **given)}
        return stored if condition is None else stored | {"if_match": condition}


def _rules_of_reading(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("version", "encryption") if options.get(name) is not None}


def _info(base: str, item: Item) -> dict[str, Any]:
    info: dict[str, Any] = {
        "name": f"{base}/{item.path.strip('/')}" if item.path.strip("/") else base,
        "size": 0 if item.directory else item.size,
        "type": "directory" if item.directory else "file",
    }
    if item.modification:
        info["mtime"] = item.modification
    more = {"ETag": item.etag, "checksum": item.checksum, "content_type": item.content_type}
    return info | {name: value for name, value in more.items() if value is not None}


def _add_directories(found: dict[str, dict[str, Any]], top: str, name: str) -> None:
    """Adds the directories between `top` and `name`."""
    above = name.rpartition("/")[0]
    while len(above) > len(top) and above not in found:
        found[above] = {"name": above, "size": 0, "type": "directory"}
        above = above.rpartition("/")[0]


async def _chunks(value: Any) -> AsyncIterator[bytes]:
    view = memoryview(value).cast("B")
    if isinstance(value, bytes) and len(view) <= _PART_SIZE:
        yield value
        return
    for start in range(0, len(view), _PART_SIZE):
        yield bytes(view[start : start + _PART_SIZE])
