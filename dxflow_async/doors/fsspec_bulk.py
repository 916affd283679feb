"""The calls of fsspec for many files, each as one transfer of the session.

fsspec expands names and patterns, finds each file's target, and calls `_get_file`, `_put_file` or `_cp_file` for each
of them at the same time. A transfer for each file has its own job, meter and report, which cost more than a small file
does. So these calls only note their pairs while fsspec expands, and one transfer moves all of them afterwards. What
fsspec lists on the way is kept until the call ends: what it has listed as a directory need not be looked up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from typing import Any, TypedDict

from fsspec.asyn import sync, sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from dxflow_async.concurrency.pool import results_of
from dxflow_async.config.working_directory import absolute_path
from dxflow_async.doors.fsspec_caches import dropped_of_cache
from dxflow_async.doors.fsspec_names import NameCalls, call_as_written
from dxflow_async.exceptions import StorageError, TransferError, UnsafePathError, UnsupportedError
from dxflow_async.models import Progress, TransferReport, TransferResult
from dxflow_async.storage.write_rules import check_options

__all__ = [
    "BulkCalls",
    "base_of",
    "inner_path",
    "is_top",
    "listed_directory",
    "note_listed",
    "note_pair",
    "of_progress",
]

_LOOKS = 32
"""How many paths are looked up at a time."""


@dataclass(slots=True)
class _Call:
    """A call of many files.

    Attributes:
        owner: the file system that is called.
        moves: one transfer moves the pairs after fsspec has found them; otherwise, each file has its own.
        sources: the source of each target that fsspec found, directories excluded.
        pairs: the sources and targets that fsspec found.
        listed: whether a name that was listed is a directory.
        both: the files that have other files below them, as keys may have.
    """

    owner: object
    moves: bool = True
    sources: dict[str, str] = field(default_factory=dict)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    listed: dict[str, bool] = field(default_factory=dict)
    both: set[str] = field(default_factory=set)


class _Depth(TypedDict):
    """How deep the directories of a source are moved."""

    recursive: bool
    maxdepth: int | None


_call: ContextVar[_Call | None] = ContextVar("fsspec_call", default=None)


def note_pair(owner: object, source: str, target: str) -> bool:
    """Notes a file of the call of many files that runs; returns False if the file has to be moved on its own.

    Raises:
        UnsafePathError: another source of the call has the same target.
    """
    call = _call.get()
    if call is None or call.owner is not owner:
        return False
    if not call.listed.get(source):
        other = call.sources.setdefault(target, source)
        if other != source:
            raise UnsafePathError(
                f"{other} and {source} have the same target {target}; give one of them another name, or copy them in "
                "two calls"
            )
    if call.moves:
        call.pairs.append((source, target))
    return call.moves


def note_listed(owner: object, found: Iterable[Mapping[str, Any]]) -> None:
    """Notes what was listed for the call of many files that runs, if there is one."""
    call = _call.get()
    if call is not None and call.owner is owner:
        for each in found:
            name, directory = each["name"], each["type"] == "directory"
            if call.listed.setdefault(name, directory) != directory:
                call.listed[name] = False
                call.both.add(name)


def listed_directory(owner: object, path: str) -> bool | None:
    """Returns whether the call that runs has listed a path as a directory; None if it has not listed it."""
    call = _call.get()
    return None if call is None or call.owner is not owner else call.listed.get(path)


class BulkCalls(NameCalls):
    """The part of the file system that moves, copies and deletes many files.

    The file system itself has `_at`, which returns the storage of a path and the path there, `_has_directories`, which
    returns whether directories are real there, and `_write_options`, which returns the arguments of a call that writes.
    """

    _at: Callable[[str], Awaitable[tuple[Any, str]]]
    _has_directories: Callable[[str], Awaitable[bool]]
    _write_options: Callable[[Mapping[str, Any]], dict[str, Any]]

    async def _put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,  # noqa: FBT002 - as fsspec has it
        callback: Any = DEFAULT_CALLBACK,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Uploads files in one transfer; `batch_size` is ignored, since the session finds the concurrency."""
        put, depth = super()._put, _Depth(recursive=recursive, maxdepth=maxdepth)
        stored = await self._stored_with("put", rpath, options)
        if _follows_files(callback):
            put = partial(put, callback=callback, batch_size=batch_size, **options)
            await self._expanded(put, lpath, rpath, there=self, moves=False, **depth)
            return
        call = await self._expanded(put, lpath, rpath, there=self, **depth)
        mode = options.get("mode", "overwrite")
        files = _Files(callback, len(call.pairs))
        failed: list[TransferResult] = []
        for pairs in _by_base(call.pairs, of_target=True):
            storage, _ = await self._at(pairs[0][1])
            sent = [(local, inner_path(remote)) for local, remote in pairs]
            upload = storage.upload_many(sent, on_progress=files.follow(), overwrite=mode != "create", **stored)
            failed += await _failed(upload)
        files.end()
        _raise_first(failed)

    def put(self, lpath: Any, rpath: Any, *args: Any, **options: Any) -> None:
        """See `_put`. A file of a cache whose `with` block has raised is not stored."""
        if not dropped_of_cache():
            sync(self.loop, self._put, lpath, rpath, *args, **options)

    async def _get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,  # noqa: FBT002 - as fsspec has it
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Downloads files in one transfer. Directories among them are made."""
        get, depth = super()._get, _Depth(recursive=recursive, maxdepth=maxdepth)
        if _follows_files(callback):
            get = partial(get, callback=callback, **options)
            await self._expanded(get, rpath, lpath, here=self, moves=False, **depth)
            return
        call = await self._expanded(get, rpath, lpath, here=self, **depth)
        files = _Files(callback, len(call.pairs))
        directories = [local for remote, local in call.pairs if call.listed.get(remote)]
        wanted = [(remote, local) for remote, local in call.pairs if not call.listed.get(remote)]
        failed: list[TransferResult] = []
        for pairs in _by_base(wanted):
            storage, _ = await self._at(pairs[0][0])
            got = [(inner_path(remote), local) for remote, local in pairs]
            failed += await _failed(storage.download_many(got, on_progress=files.follow()))
        failed, more = await self._without_directories(failed, wanted)
        await asyncio.to_thread(_make_all, [*directories, *more])
        files.end()
        _raise_first(failed)

    async def _copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,  # noqa: FBT002 - as fsspec has it
        on_error: str | None = None,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> None:
        """Copies files in one transfer for each pair of remotes."""
        stored = await self._stored_with("cp", path2, options)
        copy = partial(super()._copy, on_error=on_error, batch_size=batch_size)
        depth = _Depth(recursive=recursive, maxdepth=maxdepth)
        call = await self._expanded(copy, path1, path2, here=self, there=self, **depth)
        on_error = on_error or ("ignore" if recursive else "raise")
        await self._copy_pairs(call, stored, ignore_missing=on_error == "ignore")

    async def _mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,  # noqa: FBT002 - as fsspec has it
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Moves files. What was copied is deleted after all copies are complete, and nothing else is."""
        stored = await self._stored_with("mv", path2, options)
        depth = _Depth(recursive=recursive, maxdepth=maxdepth)
        call = await self._expanded(super()._copy, path1, path2, here=self, there=self, **depth)
        if not call.pairs:
            raise IsADirectoryError(f"{path1} is a directory; move it with recursive=True")
        sources = dict(call.pairs)
        unknown = [source for source in sources if source not in call.listed]
        found = await results_of([partial(self._isdir, each) for each in unknown], _LOOKS)
        call.listed.update(zip(unknown, found, strict=True))
        directories = {source for source in sources if call.listed[source]}
        for source, target in call.pairs:
            if target in sources or any(above in directories for above in _above(target)):
                raise UnsafePathError(f"move of {source} to {target} refused: that is, or lies in, what is moved")
        files = [source for source in sources if source not in directories]
        if len(files) == len(sources) == 1:
            await self._mv_file(*call.pairs[0], **options)
            return
        await self._copy_pairs(call, stored)
        await self._delete(files)
        for each in sorted(directories, reverse=True):
            if await self._has_directories(each):
                with contextlib.suppress(OSError):  # something is left in it
                    await self._rmdir(each)

    mv = sync_wrapper(_mv)

    async def _stored_with(self, verb: str, targets: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of a call that writes, and whose verb compares no etag.

        Raises:
            UnsupportedError: an etag is given, or a target does not keep an option.
        """
        stored = self._write_options(options)
        if "if_match" in stored:
            raise UnsupportedError(f"{verb} takes no if_match; use pipe_file or open, which do", operation=verb)
        if stored["options"].named():  # before fsspec looks at what there is
            paths = self._strip_protocol(targets if isinstance(targets, list) else [targets])
            for each in {base_of(path): path for path in paths}.values():
                storage, _ = await self._at(each)
                check_options((await storage._find()).provider, stored["options"], verb, each)
        return stored

    async def _copy_pairs(self, call: _Call, stored: Mapping[str, Any], *, ignore_missing: bool = False) -> None:
        directories = [target for source, target in call.pairs if call.listed.get(source)]
        await results_of([partial(self._makedirs, each, exist_ok=True) for each in directories], _LOOKS)
        failed: list[TransferResult] = []
        for some in _by_base([pair for pair in call.pairs if not call.listed.get(pair[0])]):
            for pairs in _by_base(some, of_target=True):
                (source, _), (target, _) = await self._at(pairs[0][0]), await self._at(pairs[0][1])
                copied = [(inner_path(one), inner_path(other)) for one, other in pairs]
                failed += await _failed(source._copy_many(copied, target, **stored))
        _raise_first([each for each in failed if not (ignore_missing and _is_missing(each))])

    async def _rm(
        self,
        path: Any,
        recursive: bool = False,  # noqa: FBT002 - as fsspec has it
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Deletes files, many with one request where the service can."""
        if maxdepth is not None:
            await super()._rm(path, recursive=recursive, batch_size=batch_size, maxdepth=maxdepth, **options)
            return
        with self._noting() as noted:
            paths = await self._expand_path(path, recursive=False)
        for each in paths:
            if is_top(each):
                raise UnsupportedError(f"{each or '/'} is not deleted as a whole; name a bucket or a directory in it")
        unknown = [each for each in paths if each not in noted.listed]
        found = await results_of([partial(self._info, each) for each in unknown], _LOOKS)
        noted.listed.update((each, info["type"] == "directory") for each, info in zip(unknown, found, strict=True))
        directories = [each for each in paths if noted.listed[each]]
        if recursive:
            files = [each for each in unknown if not noted.listed[each]]
            below = await results_of([partial(self._is_prefix, each) for each in files], _LOOKS)
            both = noted.both.union(compress(files, below))
            directories += [each for each in paths if each in both]
        elif directories:
            raise IsADirectoryError(f"{directories[0]} is a directory; delete it with recursive=True")
        await self._delete([*(each for each in paths if not noted.listed[each]), *(f"{each}/" for each in directories)])

    async def _is_prefix(self, path: str) -> bool:
        """Whether a file has other files below it, as keys may have."""
        if await self._has_directories(path):
            return False
        storage, inner = await self._at(path)
        async with storage.scan(f"{inner}/", recursive=False) as items:
            return await anext(items, None) is not None

    async def _delete(self, paths: Iterable[str]) -> None:
        """Deletes files, and directories whose path ends in a slash, of each storage in one call."""
        groups: dict[str, list[str]] = {}
        for each in paths:
            groups.setdefault(base_of(each), []).append(each)
        for some in groups.values():
            storage, _ = await self._at(some[0])
            await storage.delete([inner_path(each) for each in some])

    async def _expanded(
        self, call: Callable[..., Awaitable[object]], source: Any, target: Any, *, moves: bool = True, **rules: Any
    ) -> _Call:
        """Runs a call of fsspec that notes its pairs, and returns them. See `_Call` and `call_as_written`."""
        with self._noting(moves=moves) as noted:
            await call_as_written(call, source, target, **rules)
        return noted

    @contextlib.contextmanager
    def _noting(self, *, moves: bool = True) -> Iterator[_Call]:
        """Notes what the calls of the block list, and the pairs that they find."""
        call = _Call(self, moves)
        token = _call.set(call)
        try:
            yield call
        finally:
            _call.reset(token)

    async def _without_directories(
        self, failed: Sequence[TransferResult], pairs: Sequence[tuple[str, str]]
    ) -> tuple[list[TransferResult], list[str]]:
        """Returns the downloads that failed, and the targets of those that failed as directories."""
        missing = [each for each in failed if _is_missing(each)]
        if not missing:
            return list(failed), []
        sources = {absolute_path(local): remote for remote, local in pairs}
        looks = [partial(self._isdir, sources[absolute_path(each.destination)]) for each in missing]
        made = [each for each, found in zip(missing, await results_of(looks, _LOOKS), strict=True) if found]
        return [each for each in failed if each not in made], [each.destination for each in made]


class _Files:
    """Tells a callback of fsspec which files of a call have ended.

    Args:
        callback: the callback.
        count: the number of files.
    """

    def __init__(self, callback: Any, count: int) -> None:
        self._callback = DEFAULT_CALLBACK if callback is None else callback
        self._count = count
        self._told = self._before = 0
        self._callback.set_size(count)

    def follow(self) -> Callable[[Progress], None] | None:
        """Returns what the next transfer of the call reports to."""
        if self._callback is DEFAULT_CALLBACK:
            return None
        self._before = self._told
        return self._tell

    def end(self) -> None:
        """Tells of the files that are left; directories are among them."""
        self._update(self._count)

    def _tell(self, progress: Progress) -> None:
        self._update(min(self._before + progress.items, self._count))

    def _update(self, ended: int) -> None:
        while self._told < ended:
            self._told += 1
            self._callback.relative_update(1)


def of_progress(callback: Any) -> Callable[[Progress], None] | None:
    """Returns the function that tells a callback of fsspec how far a transfer is."""
    if callback is None or callback is DEFAULT_CALLBACK:
        return None

    def tell(progress: Progress) -> None:
        if progress.bytes_total is not None:
            callback.set_size(progress.bytes_total)
        callback.absolute_update(progress.bytes_done)

    return tell


def is_top(path: str) -> bool:
    """Whether it is the root, a remote without a bucket, or `unit` without a unit."""
    return path in ("", "unit") or ("/" not in path and path != "local")


def base_of(path: str) -> str:
    """Returns the part of a path that names the storage: `aws`, or `unit/Demo`."""
    segments = path.split("/", 2)
    return "/".join(segments[: 2 if segments[0] == "unit" else 1])


def inner_path(path: str) -> str:
    """Returns the path in its storage."""
    return f"/{path[len(base_of(path)) :].lstrip('/')}"


def _by_base(pairs: Iterable[tuple[str, str]], *, of_target: bool = False) -> Iterable[list[tuple[str, str]]]:
    """Returns the pairs of each storage."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for pair in pairs:
        groups.setdefault(base_of(pair[of_target]), []).append(pair)
    return groups.values()


def _follows_files(callback: Any) -> bool:
    """Whether a callback wants to follow the bytes of each file."""
    kind = type(callback)
    return isinstance(callback, Callback) and (
        kind.branched is not Callback.branched or kind.branch is not Callback.branch
    )


def _above(path: str) -> Iterable[str]:
    """Yields the directories above a path."""
    while path := path.rpartition("/")[0]:
        yield path


def _make_all(directories: Iterable[str]) -> None:
    for each in directories:
        os.makedirs(each, exist_ok=True)


async def _failed(transfer: Awaitable[TransferReport]) -> list[TransferResult]:
    try:
        await transfer
    except TransferError as error:
        return list(error.report.failed)
    return []


def _raise_first(failed: Sequence[TransferResult]) -> None:
    if failed:
        error = failed[0].error
        assert error is not None
        if len(failed) > 1:
            error.add_note(f"{len(failed)} files failed; this is the first of them")
        raise error


def _is_missing(result: TransferResult) -> bool:
    return isinstance(result.error, StorageError) and isinstance(result.error, FileNotFoundError)
