"""The blocking twin of `dxflow_async.storage.path`: one delegate for each method."""

from __future__ import annotations

import io
import os
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from dxflow_async.blocking.files import FileWriter, TextWriter, open_file
from dxflow_async.blocking.item_stream import ItemStream
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.location_path import LocationPath
from dxflow_async.models import Item, SyncPlan, TransferReport
from dxflow_async.storage.files.opening import FileMode, OpenOptions
from dxflow_async.storage.path import AsyncStoragePath, CopyOptions, WriteOptions
from dxflow_async.storage.resolver import Written
from dxflow_async.transfer.sync.rules import SyncOptions

if TYPE_CHECKING:
    from dxflow_async.blocking.session import Session

__all__ = ["StoragePath"]

T = TypeVar("T")


class StoragePath(LocationPath):
    """A location of any kind as a path; the blocking twin of `AsyncStoragePath`. `Session.path` returns it.

    Args:
        location: the location, which need not exist.
        session: the session that makes the calls; None: the path only knows its names.
        storage_type: the area of remotes, `"private"` or `"public"`.

    Example:
        >>> with Session() as session:
        ...     for path in session.path("aws:/bucket/results").glob("*.txt"):
        ...         print(path.name, path.read_text())
    """

    __slots__ = ("_session", "_storage_type")

    def __init__(
        self, location: str | os.PathLike[str], session: Session | None = None, storage_type: str = "private"
    ) -> None:
        super().__init__(location)
        self._session = session
        self._storage_type = storage_type

    def stat(self) -> Item:
        """Returns the object, or the directory.

        Raises:
            NotFoundError: there is neither.
        """
        return self._call(self._twin.stat)

    def exists(self) -> bool:
        """Returns whether there is an object or a directory."""
        return self._call(self._twin.exists)

    def is_dir(self) -> bool:
        """Returns whether it is a directory, or something lies below it."""
        return self._call(self._twin.is_dir)

    def is_file(self) -> bool:
        """Returns whether it is an object."""
        return self._call(self._twin.is_file)

    def iterdir(self) -> ItemStream[Self]:
        """Yields the paths in this directory, in the order of their names.

        Raises:
            NotFoundError: there is no such directory. Where directories are not real, nothing is yielded instead.
        """
        return self._stream(self._twin.iterdir)

    def glob(self, pattern: str) -> ItemStream[Self]:
        """Yields the objects and directories below this one that match a pattern, in order.

        An empty directory is found by its name only where the pattern has no `**` and one segment.

        Args:
            pattern: such as `"*.csv"`, `"*/x?.dat"` or `"**/*.csv"`; `**` stands for any number of directories. A slash
                at its end leaves out objects.

        Raises:
            ConfigurationError: the pattern is empty, or begins with a slash.
        """
        return self._stream(partial(self._twin.glob, pattern))

    def rglob(self, pattern: str) -> ItemStream[Self]:
        """Yields what matches a pattern in this directory and all those below it: `glob` with `**/` before it.

        Args:
            pattern: as for `glob`.
        """
        return self._stream(partial(self._twin.rglob, pattern))

    def read_bytes(self) -> bytes:
        """Returns all bytes of the object."""
        return self._call(self._twin.read_bytes)

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Returns the object as text.

        Args:
            encoding, errors: as for the built-in `open`.
        """
        return self._call(self._twin.read_text, encoding, errors)

    def write_bytes(self, data: bytes, **options: Unpack[WriteOptions]) -> int:
        """Stores an object, and returns its size.

        Args:
            data: the content of the object.
            content_type, metadata, options, overwrite, if_match, on_progress: as for `Session.write`.

        Raises:
            AlreadyExistsError, PreconditionFailedError: the object must not be replaced; it stays.
        """
        return self._call(partial(self._twin.write_bytes, data, **options))

    def write_text(
        self, text: str, encoding: str = "utf-8", errors: str = "strict", **options: Unpack[WriteOptions]
    ) -> int:
        """Stores a text, and returns its length. Line feeds stay as they are.

        Args:
            text: the content of the object.
            encoding, errors: as for the built-in `open`.
            content_type, metadata, options, overwrite, if_match, on_progress: as for `Session.write`.
        """
        return self._call(partial(self._twin.write_text, text, encoding, errors, **options))

    @overload
    def open(self, mode: Literal["rb"] = "rb", **options: Unpack[OpenOptions]) -> io.BufferedReader: ...
    @overload
    def open(self, mode: Literal["wb", "xb"], **options: Unpack[OpenOptions]) -> FileWriter: ...
    @overload
    def open(self, mode: Literal["r"], **options: Unpack[OpenOptions]) -> io.TextIOWrapper: ...
    @overload
    def open(self, mode: Literal["w", "x"], **options: Unpack[OpenOptions]) -> TextWriter: ...
    def open(
        self, mode: FileMode = "rb", **options: Unpack[OpenOptions]
    ) -> io.BufferedReader | FileWriter | io.TextIOWrapper:
        """Opens the object as a file of `io`, as `Session.open` does.

        Args:
            mode: `"rb"` or `"r"` to read it, `"wb"` or `"w"` to replace it, `"xb"` or `"x"` to make a new one.
            encoding, errors, newline, content_type, metadata, options, if_match, version, encryption: as for
                `Session.open`.
        """
        return open_file(self._twin.open, mode, self._bound._portal, self._bound, options)

    def unlink(self, missing_ok: bool = False) -> None:  # noqa: FBT002 - as `pathlib` has it
        """Deletes the object. A directory stays.

        Args:
            missing_ok: whether an object that does not exist is no error.

        Raises:
            NotFoundError: there is no such object, and `missing_ok` is not set.
        """
        self._call(self._twin.unlink, missing_ok)

    def rename(self, target: Written, **options: Unpack[CopyOptions]) -> Self:
        """Moves the object or directory, with the rules of `Session.move`, and returns the new path.

        Args:
            target: the new location.
            include, exclude, options, overwrite, symlinks, on_progress: as for `Session.move`.
            files, newer, older, larger, smaller: as for `Session.move`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `Session.move`.
        """
        self._bound.move(self, target, storage_type=self._storage_type, **options)
        return self._made(type(self)(target).text)

    def copy_to(self, dst: Written, **options: Unpack[CopyOptions]) -> TransferReport:
        """Copies the object or directory, with the rules of `Session.copy`.

        Args:
            dst: the destination, as for `Session.copy`.
            include, exclude, options, overwrite, symlinks, on_progress: as for `Session.copy`.
            files, newer, older, larger, smaller: as for `Session.copy`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `Session.copy`.
        """
        return self._bound.copy(self, dst, storage_type=self._storage_type, **options)

    @overload
    def sync_to(
        self, dst: Written, *, dry_run: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> TransferReport: ...
    @overload
    def sync_to(self, dst: Written, *, dry_run: Literal[True], **options: Unpack[SyncOptions]) -> SyncPlan: ...
    def sync_to(
        self, dst: Written, *, dry_run: bool = False, **options: Unpack[SyncOptions]
    ) -> TransferReport | SyncPlan:
        """Syncs the directory to another one, with the rules and options of `Session.sync`.

        Args:
            dst: the directory to change.
            dry_run: whether only to return the plan.
            options: the options of `Session.sync`; see `SyncOptions`.
        """
        options.setdefault("storage_type", self._storage_type)
        if dry_run:
            return self._bound.sync(self, dst, dry_run=True, **options)
        return self._bound.sync(self, dst, **options)

    @property
    def _bound(self) -> Session:
        if self._session is None:
            raise ConfigurationError(f"{self!r} belongs to no session; call session.path(path) first")
        return self._session

    @property
    def _twin(self) -> AsyncStoragePath:
        return self._bound._session.path(self.text, storage_type=self._storage_type)

    def _call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        return self._bound._portal.call(function, *args)

    def _stream(self, make: Any) -> ItemStream[Self]:
        return ItemStream(self._twins(self._bound._portal.iterate(make)))

    def _twins(self, paths: Generator[AsyncStoragePath, None, None]) -> Generator[Self, None, None]:
        try:
            for path in paths:
                yield self._with(path._segments)
        finally:
            paths.close()

    def _made(self, text: str) -> Self:
        return type(self)(text, self._session, self._storage_type)
