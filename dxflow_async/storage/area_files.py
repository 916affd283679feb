"""Opening the objects of a storage area as files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Mapping
from functools import partial
from typing import Any, Literal, Unpack, overload

from dxflow_async.exceptions import AlreadyExistsError, NotFoundError
from dxflow_async.models import TransferReport
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.storage.area_listing import AreaListing
from dxflow_async.storage.files.opening import AnyFile, FileMode, Opening, OpenOptions, OpenRules, as_text, check_mode
from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.text import AsyncTextReader, AsyncTextWriter
from dxflow_async.storage.files.writer import AsyncFileWriter
from dxflow_async.storage.object_views import reading_area
from dxflow_async.storage.resolver import ResolvedLocation
from dxflow_async.storage.write_rules import WriteRules
from dxflow_async.transfer.request import request

__all__ = ["AreaFiles"]


class AreaFiles(AreaListing, ABC):
    """The part of `AsyncAreaStorage` that opens files."""

    @abstractmethod
    async def write(
        self,
        path: str,
        data: AsyncIterable[bytes],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: bool | Literal["skip"] = True,
        if_match: str | None = None,
    ) -> TransferReport:
        """See `AsyncAreaStorage.write`."""

    @overload
    def open(
        self, path: str, mode: Literal["rb"] = "rb", **options: Unpack[OpenOptions]
    ) -> Opening[AsyncFileReader]: ...
    @overload
    def open(
        self, path: str, mode: Literal["wb", "xb"], **options: Unpack[OpenOptions]
    ) -> Opening[AsyncFileWriter]: ...
    @overload
    def open(self, path: str, mode: Literal["r"], **options: Unpack[OpenOptions]) -> Opening[AsyncTextReader]: ...
    @overload
    def open(self, path: str, mode: Literal["w", "x"], **options: Unpack[OpenOptions]) -> Opening[AsyncTextWriter]: ...
    def open(self, path: str, mode: FileMode = "rb", **options: Unpack[OpenOptions]) -> Opening[Any]:
        """Opens an object as a file. Use it with `async with`, or await it and close the file yourself.

        A file that is read seeks freely, reads ahead when it is read in order, and keeps the version that it was opened
        at. A file that is written appears when it is closed; after an error nothing is stored.

        Args:
            path: the object.
            mode: `"rb"` reads, `"wb"` writes, `"xb"` writes a new object; `"r"`, `"w"` and `"x"` are the same for text.
            encoding, errors, newline: of text, as for the built-in `open`; written line feeds stay by default.
            content_type: the media type of a written object; by default the name's ending decides.
            metadata: stored with a written object.
            options: everything that is stored with a written object; the two arguments above win.
            if_match: replace only the object with this etag.
            version, encryption: of an object that is read; as for `stat`.

        Raises:
            ConfigurationError: there is no such mode, or an option does not belong to it.
            NotFoundError: the object to read does not exist.
            AlreadyExistsError: the object to create exists. If another writer creates it while the file is open,
                closing the file raises it, as `write` does with `overwrite=False`.
            ChecksumMismatchError: a file was read from its start to its end, and its bytes have another checksum than
                the object.

        Example:
            >>> async def count_lines(storage: "AsyncAreaStorage") -> int:
            ...     async with storage.open("/bucket/log.txt", "r") as file:
            ...         return len([line async for line in file])
        """
        kind, text = check_mode(mode)
        rules = OpenRules(**options)
        rules.check(kind)

        async def begin() -> AnyFile:
            self._resources.check_open()
            if kind == "r":
                file: AsyncFileReader | AsyncFileWriter = await self._open_to_read(path, rules)
            else:
                file = await self._open_to_write(path, kind, rules)
            return as_text(file, rules.encoding, rules.errors, rules.newline) if text else file

        return Opening(begin)

    async def _open_to_write(self, path: str, kind: str, rules: OpenRules) -> AsyncFileWriter:
        stored = rules.of_binary("w")
        checked = WriteRules.of(**stored, overwrite=kind != "x")
        area = checked.applied_to(ResolvedLocation(path, await self._find()), "write").area
        assert area is not None
        area.place(path).check_target("write")
        if kind == "x":
            await self._check_new(path)
        write = partial(self.write, path, **stored, overwrite=kind != "x")
        return AsyncFileWriter(write, path, self._resources.owner, f"{kind}b")

    async def _open_to_read(self, path: str, rules: OpenRules) -> AsyncFileReader:
        area = reading_area(await self._find(), path, rules.version, rules.encryption)
        limits, policy = self._resources.limits, self._resources.policy
        entry = await request(lambda: area.provider.stat(area.key(path)), area.provider, limits=limits, policy=policy)
        if entry.directory:
            raise NotFoundError(
                f"{area.name} open of {path} failed: it is a directory; open a file in it",
                provider=area.name,
                operation="open",
                path=path,
            )
        from dxflow_async.storage.files.object_ranges import ObjectRanges

        return AsyncFileReader(ObjectRanges(self._resources, area, entry), path, self._resources.owner)

    async def _check_new(self, path: str) -> None:
        if await self.exists(path):
            raise AlreadyExistsError(
                f"open of {path} failed: it exists; choose another name, or open it with the mode w",
                operation="open",
                path=path,
            )
