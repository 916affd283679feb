"""Opening a file: the modes, and what `async with` and `await` make of the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, TypedDict, TypeVar

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.text import AsyncTextReader, AsyncTextWriter
from dxflow_async.storage.files.writer import AsyncFileWriter

__all__ = ["AnyFile", "FileMode", "OpenOptions", "OpenRules", "Opening", "as_text", "check_mode"]

FileMode = Literal["rb", "wb", "xb", "r", "w", "x"]
"""How a file may be opened: to read, to write, or to create; as bytes or as text."""

AnyFile = AsyncFileReader | AsyncFileWriter | AsyncTextReader | AsyncTextWriter


class OpenOptions(TypedDict, total=False):
    """The keyword arguments of `AsyncAreaStorage.open`, which documents them."""

    encoding: str
    errors: str
    newline: str | None
    content_type: str | None
    metadata: Mapping[str, str] | None
    options: ObjectOptions | None
    if_match: str | None
    version: str | None
    encryption: Encryption | None


_READING, _WRITING = ("version", "encryption"), ("content_type", "metadata", "options", "if_match")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRules:
    """The values of `OpenOptions`, with the defaults."""

    encoding: str = "utf-8"
    errors: str = "strict"
    newline: str | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None
    options: ObjectOptions | None = None
    if_match: str | None = None
    version: str | None = None
    encryption: Encryption | None = None

    def check(self, kind: str) -> None:
        """Checks that each option belongs to a file that is read, or to one that is written.

        Raises:
            ConfigurationError: one does not.
        """
        refused = _WRITING if kind == "r" else _READING
        for name in refused:
            if getattr(self, name) is not None:
                verb = "read" if kind == "r" else "written"
                raise ConfigurationError(f"{name} is not allowed for a file that is {verb}; leave it out")

    def of_binary(self, kind: str) -> dict[str, Any]:
        """Returns the options of the binary file below."""
        names = _READING if kind == "r" else _WRITING
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name in names}


class _File(Protocol):
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


F_co = TypeVar("F_co", bound=_File, covariant=True)


class Opening(Generic[F_co]):
    """A file that is about to be opened: use it with `async with`, or `await` it and close the file yourself."""

    def __init__(self, begin: Callable[[], Awaitable[F_co]]) -> None:
        self._begin = begin
        self._file: F_co | None = None

    def __await__(self) -> Generator[Any, Any, F_co]:
        return self._begin().__await__()

    async def __aenter__(self) -> F_co:
        self._file = await self
        return self._file

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is not None:
            await file.__aexit__(kind, error, traceback)


def check_mode(mode: str) -> tuple[str, bool]:
    """Returns what a mode does (`"r"`, `"w"` or `"x"`), and whether it is of text.

    Raises:
        ConfigurationError: there is no such mode.
    """
    kind = mode.replace("b", "", 1).replace("t", "", 1) if isinstance(mode, str) else mode
    if kind not in ("r", "w", "x") or ("b" in mode and "t" in mode):
        raise ConfigurationError(f"mode = {mode!r:.20} is not allowed; it must be rb, wb, xb, r, w or x")
    return kind, "b" not in mode


def as_text(
    file: AsyncFileReader | AsyncFileWriter, encoding: str, errors: str, newline: str | None
) -> AsyncTextReader | AsyncTextWriter:
    """Returns the text file over a binary one."""
    if isinstance(file, AsyncFileReader):
        return AsyncTextReader(file, encoding, errors, newline)
    return AsyncTextWriter(file, encoding, errors, newline)
