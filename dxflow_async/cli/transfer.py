"""`cp` and `mv`."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cyclopts import Parameter

from dxflow_async.blocking.progress import progress_bar
from dxflow_async.blocking.tables import printable, write_line
from dxflow_async.cli.run import Account, Flag, with_storage
from dxflow_async.exceptions import ConfigurationError, NotFoundError, TransferError
from dxflow_async.models import TransferReport
from dxflow_async.paths import Location, parse_location
from dxflow_async.storage.manager import AsyncStorageManager
from dxflow_async.transfer.progress import OnProgress

__all__ = ["cp", "mv"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Output:
    """What a transfer prints.

    Attributes:
        json: Print the whole report as JSON.
        quiet: Print nothing but errors.
    """

    json: Flag = False
    quiet: Flag = False


_DIRECT, _PLAIN = Account(), Output()

Transfer = Callable[[AsyncStorageManager, OnProgress | None], Awaitable[TransferReport]]


def cp(src: str, dst: str, *, public: Flag = False, output: Output = _PLAIN, account: Account = _DIRECT) -> int:
    """Copy files and directories: up, down, or within a provider.

    Args:
        src: A local path or pattern, or aws:/bucket/key. Of a directory with a slash at its end only the content
            is meant.
        dst: Where to. With a slash at its end a directory to put things into, else the name to give.
        public: The remote side is the account's public storage.
    """
    source, target = parse_location(src), parse_location(dst)
    area = "public" if public else "private"
    if target.provider == "LOCAL":
        if source.provider == "LOCAL":
            raise ConfigurationError("both places are local; write one of them as aws:/bucket/key")
        download = _download if source.path.endswith("/") or _names_directory(target.path) else _download_as

        def transfer(storage: AsyncStorageManager, show: OnProgress | None, /) -> Awaitable[TransferReport]:
            return download(storage, source, target.path, area, show)

    elif source.provider == "LOCAL":

        def transfer(storage: AsyncStorageManager, show: OnProgress | None, /) -> Awaitable[TransferReport]:
            return storage.upload(source.path, target.path, target.provider, area, on_progress=show)

    else:
        _check_one_provider(source, target)

        def transfer(storage: AsyncStorageManager, _: OnProgress | None, /) -> Awaitable[TransferReport]:
            return storage.copy(source.path, target.path, source.provider, storage_type=area)

    return _run(transfer, output, account)


def mv(src: str, dst: str, *, public: Flag = False, output: Output = _PLAIN, account: Account = _DIRECT) -> int:
    """Move objects and directories within a provider.

    Args:
        src: What to move, written aws:/bucket/key; with a slash at its end the directory's content.
        dst: Where to. With a slash at its end a directory to put things into, else the name to give.
        public: Both are in the account's public storage.
    """
    source, target = parse_location(src), parse_location(dst)
    if "LOCAL" in (source.provider, target.provider):
        raise ConfigurationError("mv moves within a provider; use cp from and to local files")
    _check_one_provider(source, target)
    area = "public" if public else "private"
    return _run(
        lambda storage, _: storage.move(source.path, target.path, source.provider, storage_type=area), output, account
    )


def _check_one_provider(source: Location, target: Location) -> None:
    if source.provider != target.provider:
        raise ConfigurationError(
            f"{source} and {target} are at two providers; download to a local directory, and upload from there"
        )


def _names_directory(path: str) -> bool:
    return path.endswith(("/", os.sep)) or os.path.isdir(path)


async def _download(
    storage: AsyncStorageManager, source: Location, path: str, area: str, show: OnProgress | None
) -> TransferReport:
    return await storage.download(source.path, path, source.provider, storage_type=area, on_progress=show)


async def _download_as(
    storage: AsyncStorageManager, source: Location, path: str, area: str, show: OnProgress | None
) -> TransferReport:
    """A single object becomes the file of that name; a directory goes into the directory of that name."""
    try:
        found = await storage.stat(source.path, source.provider, storage_type=area)
    except NotFoundError:
        found = None
    if found is None or found.directory:
        return await _download(storage, source, path, area, show)
    pairs = [(source.path, path)]
    return await storage.download_many(pairs, source.provider, storage_type=area, on_progress=show)


def _run(transfer: Transfer, output: Output, account: Account) -> int:
    try:
        with progress_bar("copying", enabled=not output.quiet) as show:
            report = with_storage(account, lambda storage: transfer(storage, show))
    except TransferError as error:
        if output.json:
            write_line(json.dumps(error.report.to_dict()))
        raise
    if output.json:
        write_line(json.dumps(report.to_dict()))
    elif not output.quiet:
        write_line(_summary(report))
    return 0


def _summary(report: TransferReport) -> str:
    from rich.filesize import decimal

    moved = f"{len(report)} items, {decimal(report.bytes)} in {report.seconds:.2f} s, {decimal(int(report.goodput))}/s"
    skipped = "".join(f"\nskipped {printable(each.source)}: {printable(each.skipped or '')}" for each in report.skipped)
    return f"{moved}, {report.verified} verified, {report.retries} retries{skipped}"
