"""The command `demo`: uploads a tree of unusual files, lists it, downloads it, and compares it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic

from rich.filesize import decimal

from dxflow_async.blocking.progress import progress_bar
from dxflow_async.blocking.tables import format_item, write_line
from dxflow_async.cli.demo_tree import Comparison, compare_trees, make_tree
from dxflow_async.cli.json_lines import print_report, say
from dxflow_async.cli.run import Flag, run_loop
from dxflow_async.cli.status import FAILED, complain
from dxflow_async.config.settings import S3Settings, Settings
from dxflow_async.exceptions import ConfigurationError, StorageError
from dxflow_async.models import Progress, TransferReport
from dxflow_async.plurals import counted
from dxflow_async.progress_text import progress_text
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession
from dxflow_async.storage.manager import AsyncStorageManager

__all__ = ["demo"]

_ROWS_SHOWN = 12
_LINE_SECONDS = 2.0
_LATE_SECONDS = 0.5


def demo(*, files: int = 3000, seed: int = 1, bucket: str | None = None, json: Flag = False) -> int:
    """Upload, list, download and compare a tree of unusual files, with an account of its own. Nothing is left behind.

    Args:
        files: The number of small files, besides the large and the unusual ones.
        seed: The same seed makes the same tree.
        bucket: A bucket of the configured S3 service; it is cleaned up. By default a temporary directory stands in
            for a bucket.
        json: Print a JSON object for each item, and the sums.
    """
    if files < 3:
        raise ConfigurationError(f"files = {files} is not allowed; it must be at least 3")
    with _temporary_directory() as directory:
        settings = _settings(directory / "home", bucket)
        top = f"/{bucket or 'demo'}/dxflow-demo-{secrets.token_hex(4)}/"
        say(f"making {files} small files, some large ones and odd names in {printable(str(directory))}", json=json)
        made = make_tree(directory / "tree", files, seed)
        say(f"made {counted(made.files, 'file')}, {decimal(made.bytes)}", json=json)
        up, down = run_loop(partial(_there_and_back, settings, directory, top, json=json))
        started = monotonic()
        compared = compare_trees(directory / "tree", directory / "back")
        return _conclude(made, compared, monotonic() - started, up, down, json=json)


async def _there_and_back(
    settings: Settings, directory: Path, top: str, *, json: bool
) -> tuple[TransferReport, TransferReport]:
    session = AsyncSession("demo@example.com", secrets.token_urlsafe(24), settings=settings)
    async with contextlib.aclosing(session):
        storage = session.get_storage_manager()
        async with _deleted_at_end(storage, top):
            with _progress("upload", json=json) as show:
                up = await storage.upload(f"{directory / 'tree'}/", top, on_progress=show)
            if not json:
                await _show_listing(storage, top)
            with _progress("download", json=json) as show:
                down = await storage.download(top, directory / "back", on_progress=show)
    return up, down


@contextlib.asynccontextmanager
async def _deleted_at_end(storage: AsyncStorageManager, top: str) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(StorageError):  # the first error says more
            await storage.delete(top)
            await asyncio.sleep(_LATE_SECONDS)  # a request that was cancelled may be stored a moment later
            await storage.delete(top)
        raise
    await storage.delete(top)


async def _show_listing(storage: AsyncStorageManager, top: str) -> None:
    write_line(f"\nwhat is at aws:{top}")
    count = 0
    async for item in storage.scan(path=top, recursive=True):
        count += 1
        if count <= _ROWS_SHOWN:
            write_line(format_item(item, below=top))
    write_line(f"... {count} in all\n")


def _settings(home: Path, bucket: str | None) -> Settings:
    settings = dataclasses.replace(Settings.load(home=home), hub=None, embedded=True)
    if bucket is None:
        return dataclasses.replace(settings, aws=S3Settings(), sdk_configuration=False)
    if not settings.aws.configured:
        raise ConfigurationError("--bucket needs an S3 service: set DXFLOW_AWS_ENDPOINT, _REGION or _PROFILE")
    return dataclasses.replace(settings, aws=dataclasses.replace(settings.aws, private=None))


def _conclude(
    made: Comparison, compared: Comparison, seconds: float, up: TransferReport, down: TransferReport, *, json: bool
) -> int:
    if json:
        for report in (up, down):
            print_report(report)
    else:
        _print_table(made, compared, seconds, up, down)
    if compared.different or (compared.files, compared.bytes) != (made.files, made.bytes):
        complain(f"{len(compared.different)} names differ: {', '.join(compared.different[:20])}")
        return FAILED
    say(f"upload: {up.verification}; download: {down.verification}", json=json)
    say(f"all {compared.files} files came back with the same names and the same {compared.bytes} bytes", json=json)
    return 0


def _print_table(
    made: Comparison, compared: Comparison, seconds: float, up: TransferReport, down: TransferReport
) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "items", "bytes", "seconds", "goodput", "retries", "verified")
    for name, report in (("upload", up), ("download", down)):
        goodput = f"{decimal(int(report.goodput))}/s"
        verified = f"{report.verified} of {len(report)}"
        cells = (len(report), report.bytes, f"{report.seconds:.2f}", goodput, report.retries, verified)
        table.add_row(name, *map(str, cells))
    goodput = f"{decimal(int(compared.bytes / max(seconds, 1e-9)))}/s"
    verified = f"{compared.files} of {made.files}"
    table.add_row("compare", str(made.files), str(compared.bytes), f"{seconds:.2f}", goodput, "", verified)
    Console(file=sys.stdout).print(table)


@contextlib.contextmanager
def _progress(label: str, *, json: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Shows a bar on a terminal, else a plain line every two seconds; nothing between JSON lines."""
    with progress_bar(label, enabled=not json) as show:
        yield show if show is not None or json else _lines(label)


def _lines(label: str) -> Callable[[Progress], None]:
    due, shown = monotonic() + _LINE_SECONDS, ""

    def show(progress: Progress) -> None:
        nonlocal due, shown
        line = f"{label}: {progress_text(progress)}"
        if (monotonic() >= due or progress.files_done == progress.files_total) and line != shown:
            due, shown = monotonic() + _LINE_SECONDS, line
            write_line(line)

    return show


@contextlib.contextmanager
def _temporary_directory() -> Iterator[Path]:
    """Makes a directory that is removed at the end, whatever happens. A second Ctrl-C does not interrupt that."""
    directory = tempfile.TemporaryDirectory(prefix="dxflow-demo-")
    try:
        yield Path(directory.name)
    finally:
        with _interrupts_ignored():
            directory.cleanup()


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
