"""Locations as paths that read, write, list and transfer."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal, Self, TypedDict, Unpack, cast, overload

from dxflow_async.concurrency.item_stream import AsyncItemStream
from dxflow_async.exceptions import ConfigurationError, NotFoundError
from dxflow_async.glob_patterns import has_magic, matches
from dxflow_async.location_path import LocationPath
from dxflow_async.models import Item, SyncPlan, TransferReport
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.storage.files.opening import FileMode, Opening, OpenOptions
from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.text import AsyncTextReader, AsyncTextWriter
from dxflow_async.storage.files.writer import AsyncFileWriter
from dxflow_async.storage.resolver import Written
from dxflow_async.storage.transfer_service import TransferService
from dxflow_async.storage.write_rules import WriteRules
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.selection import SelectionOptions, selected
from dxflow_async.transfer.sync.rules import Rules, SyncOptions

__all__ = ["AsyncStoragePath", "CopyOptions", "WriteOptions"]

_RULES = ("options", "overwrite", "symlinks")


class WriteOptions(TypedDict, total=False):
    """The options of `AsyncSession.write` that paths take."""

    content_type: str | None
    metadata: Mapping[str, str] | None
    options: ObjectOptions | None
    overwrite: bool | Literal["skip"]
    if_match: str | None
    on_progress: OnProgress | None


class CopyOptions(SelectionOptions, total=False):
    """The options of `AsyncSession.copy` and `move` that paths take."""

    include: str | Iterable[str]
    exclude: str | Iterable[str]
    options: ObjectOptions | None
    overwrite: Overwrite
    symlinks: Symlinks
    on_progress: OnProgress | None


class AsyncStoragePath(LocationPath):
    """A location of any kind as a path; `AsyncSession.path` returns it.

    It is immutable, and works wherever a location is written. It is pickled as its text: in another process
    `session.path(path)` binds it to a session there.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession() as session:
        ...         results = session.path("aws:/bucket/results")
        ...         await (results / "note.txt").write_text("done")
        ...         async for path in results.glob("*.txt"):
        ...             print(path.name, await path.read_text())
    """

    __slots__ = ("_storage_type", "_transfers")

    def __init__(
        self,
        location: str | os.PathLike[str],
        transfers: TransferService | None = None,
        storage_type: str = "private",
    ) -> None:
        super().__init__(location)
        self._transfers = transfers
        self._storage_type = storage_type

    async def stat(self) -> Item:
        """Returns the object, or the directory.

        Raises:
            NotFoundError: there is neither.
        """
        storage, path = await self._at()
        return await storage.stat(path)

    async def exists(self) -> bool:
        """Returns whether there is an object or a directory."""
        storage, path = await self._at()
        return await storage.exists(path)

    async def is_dir(self) -> bool:
        """Returns whether it is a directory, or something lies below it."""
        return (found := await self._found()) is not None and found.directory

    async def is_file(self) -> bool:
        """Returns whether it is an object."""
        return (found := await self._found()) is not None and not found.directory

    def iterdir(self) -> AsyncItemStream[Self]:
        """Yields the paths in this directory, in the order of their names.

        Raises:
            NotFoundError: there is no such directory. Where directories are not real, nothing is yielded instead.
        """
        return self._stream(self._children())

    def glob(self, pattern: str) -> AsyncItemStream[Self]:
        """Yields the objects and directories below this one that match a pattern, in order.

        An empty directory is found by its name only where the pattern has no `**` and one segment.

        Args:
            pattern: such as `"*.csv"`, `"*/x?.dat"` or `"**/*.csv"`; `**` stands for any number of directories. A slash
                at its end leaves out objects.

        Raises:
            ConfigurationError: the pattern is empty, or begins with a slash.
        """
        if not pattern.strip("/") or pattern.startswith("/"):
            raise ConfigurationError(f"pattern = {pattern!r} is not allowed; write a name below the path, as in *.csv")
        return self._stream(self._matches(pattern))

    def rglob(self, pattern: str) -> AsyncItemStream[Self]:
        """Yields what matches a pattern in this directory and all those below it: `glob` with `**/` before it.

        Args:
            pattern: as for `glob`.
        """
        return self.glob(f"**/{pattern}")

    async def read_bytes(self) -> bytes:
        """Returns all bytes of the object."""
        storage, path = await self._at()
        return await storage._read_bytes(path)

    async def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Returns the object as text.

        Args:
            encoding, errors: as for the built-in `open`.
        """
        return (await self.read_bytes()).decode(encoding, errors)

    async def write_bytes(self, data: bytes, **options: Unpack[WriteOptions]) -> int:
        """Stores an object, and returns its size.

        Args:
            data: the content of the object.
            content_type, metadata, options, overwrite, if_match, on_progress: as for `AsyncSession.write`.

        Raises:
            AlreadyExistsError, PreconditionFailedError: the object must not be replaced; it stays.
        """
        storage, path = await self._at()
        view = memoryview(data).cast("B")
        await storage.write(path, _once(bytes(view)), **options)
        return len(view)

    async def write_text(
        self, text: str, encoding: str = "utf-8", errors: str = "strict", **options: Unpack[WriteOptions]
    ) -> int:
        """Stores a text, and returns its length. Line feeds stay as they are.

        Args:
            text: the content of the object.
            encoding, errors: as for the built-in `open`.
            content_type, metadata, options, overwrite, if_match, on_progress: as for `AsyncSession.write`.
        """
        await self.write_bytes(text.encode(encoding, errors), **options)
        return len(text)

    @overload
    def open(self, mode: Literal["rb"] = "rb", **options: Unpack[OpenOptions]) -> Opening[AsyncFileReader]: ...
    @overload
    def open(self, mode: Literal["wb", "xb"], **options: Unpack[OpenOptions]) -> Opening[AsyncFileWriter]: ...
    @overload
    def open(self, mode: Literal["r"], **options: Unpack[OpenOptions]) -> Opening[AsyncTextReader]: ...
    @overload
    def open(self, mode: Literal["w", "x"], **options: Unpack[OpenOptions]) -> Opening[AsyncTextWriter]: ...
    def open(self, mode: FileMode = "rb", **options: Unpack[OpenOptions]) -> Opening[Any]:
        """Opens the object as a file, as `AsyncSession.open` does.

        Args:
            mode: `"rb"` or `"r"` to read it, `"wb"` or `"w"` to replace it, `"xb"` or `"x"` to make a new one.
            encoding, errors, newline, content_type, metadata, options, if_match, version, encryption: as for
                `AsyncSession.open`.
        """

        async def begin() -> Any:
            storage, path = await self._at()
            return await storage.open(path, mode, **options)

        return Opening(begin)

    async def unlink(self, missing_ok: bool = False) -> None:  # noqa: FBT002 - as `pathlib` has it
        """Deletes the object. A directory stays.

        Args:
            missing_ok: whether an object that does not exist is no error.

        Raises:
            NotFoundError: there is no such object, and `missing_ok` is not set.
        """
        storage, path = await self._at()
        if not missing_ok and not await self.is_file():
            raise NotFoundError(
                f"unlink of {self} failed: there is no such object; check the path", operation="unlink", path=str(self)
            )
        await storage.delete(path)

    async def rename(self, target: Written, **options: Unpack[CopyOptions]) -> Self:
        """Moves the object or directory, with the rules of `AsyncSession.move`, and returns the new path.

        Args:
            target: the new location.
            include, exclude, options, overwrite, symlinks, on_progress: as for `AsyncSession.move`.
            files, newer, older, larger, smaller: as for `AsyncSession.move`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `AsyncSession.move`.
        """
        await self._copy(target, options, move=True)
        return type(self)(target, self._transfers, self._storage_type)

    async def copy_to(self, dst: Written, **options: Unpack[CopyOptions]) -> TransferReport:
        """Copies the object or directory, with the rules of `AsyncSession.copy`.

        Args:
            dst: the destination, as for `AsyncSession.copy`.
            include, exclude, options, overwrite, symlinks, on_progress: as for `AsyncSession.copy`.
            files, newer, older, larger, smaller: as for `AsyncSession.copy`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `AsyncSession.copy`.
        """
        return await self._copy(dst, options)

    @overload
    async def sync_to(
        self, dst: Written, *, dry_run: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> TransferReport: ...
    @overload
    async def sync_to(self, dst: Written, *, dry_run: Literal[True], **options: Unpack[SyncOptions]) -> SyncPlan: ...
    async def sync_to(
        self, dst: Written, *, dry_run: bool = False, **options: Unpack[SyncOptions]
    ) -> TransferReport | SyncPlan:
        """Syncs the directory to another one, with the rules and options of `AsyncSession.sync`.

        Args:
            dst: the directory to change.
            dry_run: whether only to return the plan.
            options: the options of `AsyncSession.sync`; see `SyncOptions`.
        """
        rules = Rules.of(
            options.get("compare", "size+mtime"),
            options.get("include", ()),
            options.get("exclude", ()),
            delete=options.get("delete", False),
            stable=options.get("stable", 0.0),
        )
        storage_type = options.get("storage_type", self._storage_type)
        if dry_run:
            return await self._bound.plan_sync(self, dst, rules, storage_type)
        return await self._bound.sync(self, dst, rules, storage_type, options.get("on_progress"))

    async def _copy(self, dst: Written, options: CopyOptions, *, move: bool = False) -> TransferReport:
        given: dict[str, Any] = dict(options)
        on_progress = given.pop("on_progress", None)
        rules = WriteRules.of(**{name: given.pop(name) for name in _RULES if name in given})
        include, exclude = given.pop("include", ()), given.pop("exclude", ())
        selection, running = selected(include, exclude, cast("SelectionOptions", given))
        return await self._bound.copy(
            self, dst, self._storage_type, on_progress, running, move=move, rules=rules, selection=selection
        )

    @property
    def _bound(self) -> TransferService:
        if self._transfers is None:
            raise ConfigurationError(f"{self!r} belongs to no session; call session.path(path) first")
        return self._transfers

    def _made(self, text: str) -> Self:
        return type(self)(text, self._transfers, self._storage_type)

    async def _at(self) -> tuple[AsyncAreaStorage, str]:
        """Returns the storage, and the path there."""
        transfers = self._bound
        area, path = await transfers.resolver.area_and_path(self, self._storage_type)

        async def find() -> Any:
            return area

        return AsyncAreaStorage(transfers, find), path

    async def _found(self) -> Item | None:
        try:
            return await self.stat()
        except NotFoundError:
            return None

    def _stream(self, batches: AsyncGenerator[Sequence[Self], None]) -> AsyncItemStream[Self]:
        return AsyncItemStream(batches, self._bound.resources.owner)

    async def _children(self) -> AsyncGenerator[Sequence[Self], None]:
        storage, path = await self._at()
        async with aclosing(storage.scan(f"{path.rstrip('/')}/", recursive=False)) as items:
            async for item in items:
                yield (self._with((*self._segments, item.name)),)

    async def _matches(self, pattern: str) -> AsyncGenerator[Sequence[Self], None]:
        parts, directories = [part for part in pattern.split("/") if part], pattern.endswith("/")
        fixed = next((n for n, part in enumerate(parts) if has_magic(part)), len(parts))
        top = self._with((*self._segments, *parts[:fixed]))
        if fixed == len(parts):
            if await (top.is_dir() if directories else top.exists()):
                yield (top,)
            return
        rest = "/".join(parts[fixed:])
        storage, path = await top._at()
        before: list[str] = []
        if set(parts[fixed:]) == {"**"}:
            yield (top,)
        try:
            async with aclosing(
                storage.scan(f"{path.rstrip('/')}/", recursive=len(parts) - fixed > 1 or rest == "**")
            ) as items:
                async for item in items:
                    names = item.path[len(path) :].strip("/").split("/")
                    # A recursive listing has objects only: directories are the beginnings of their names.
                    same = _shared(before, names)
                    before = names
                    end = len(names) + (item.directory or not directories)
                    below = [names[:length] for length in range(same + 1, end)]
                    if found := [self._below(top, each) for each in below if matches(each, parts[fixed:])]:
                        yield found
        except NotFoundError:
            return

    def _below(self, top: Self, names: Sequence[str]) -> Self:
        return self._with((*top._segments, *names))


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Returns with how many equal names two sequences begin."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
