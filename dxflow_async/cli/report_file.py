"""`--report`: the page that a command writes of what it has done, also when it fails or is interrupted."""

from __future__ import annotations

import os
import secrets
import stat
from asyncio import CancelledError
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dxflow_async.cli.standard_streams import STREAM
from dxflow_async.cli.status import complain
from dxflow_async.exceptions import ConfigurationError, StorageError, TransferError
from dxflow_async.models import TransferReport
from dxflow_async.pages.transfer_page import transfer_page
from dxflow_async.reports import joined_timeline
from dxflow_async.security.redaction import printable
from dxflow_async.timeline import Timeline
from dxflow_async.transfer.running_call import RunningCall, running_call

__all__ = ["ReportFile", "joined"]


class ReportFile:
    """Writes the page of the calls in its block.

    Args:
        path: the file; None: nothing is written.
        operation: names the command on a page of a call that ended before anything was planned.

    Raises:
        ConfigurationError: there can be no such file.
    """

    def __init__(self, path: Path | None, operation: str = "") -> None:
        self._path = None if path is None else _writable(path)
        self._operation = operation
        self._running = RunningCall()
        self._report: TransferReport | None = None

    def __enter__(self) -> Self:
        return self

    def follow(self) -> None:
        """Follows the calls of the current task, to know what they did when they are cancelled."""
        if self._path is not None:
            running_call.set(self._running)

    def show(self, report: TransferReport) -> None:
        """Sets the report that the page shows; otherwise it shows what the calls have done so far."""
        self._report = report

    def write_now(self, report: TransferReport) -> None:
        """Writes the page of a report; that it cannot be written is only printed."""
        if self._path is None:
            return
        try:
            self._write(self._path, transfer_page(report))
        except StorageError as error:
            complain(str(error))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._path is None or (error is not None and isinstance(error, GeneratorExit)):
            return
        report = self._report or self._done(error)
        interrupted = isinstance(error, KeyboardInterrupt | CancelledError)
        if interrupted and report.job_id is None:
            report.job_id = self._running.job_id
        failure = None if error is None or interrupted else str(error)
        page = transfer_page(report, failure=failure, interrupted=interrupted)
        try:
            self._write(self._path, page)
        except StorageError as problem:
            if error is None:
                raise
            complain(str(problem))  # the caller is to see the first error

    def _done(self, error: BaseException | None) -> TransferReport:
        """Returns what the calls have done."""
        if isinstance(error, TransferError) and len(self._running.reports) < 2:
            return error.report
        if len(self._running.reports) == 1:
            return self._running.reports[0]
        report = joined(self._running.reports)
        if report.timeline is None:
            report.timeline = Timeline(self._operation)
        return report

    def _write(self, path: str, page: str) -> None:
        try:
            if _is_device(path):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(page)
                return
            temporary = _temporary(path)
            try:
                with open(temporary, "x", encoding="utf-8") as file:
                    file.write(page)
                os.replace(temporary, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            raise StorageError(
                f"the report was not written to {printable(path)}: {error.strerror or error}; "
                "what the command has done stays",
                operation="write",
                path=path,
            ) from error


def joined(reports: Iterable[TransferReport]) -> TransferReport:
    """Returns one report of calls that followed one another."""
    whole, parts = TransferReport(), list(reports)
    for report in parts:
        for result in report:
            whole.append(result)
        whole.seconds += report.seconds or (0.0 if report.timeline is None else report.timeline.seconds)
        whole.concurrency = max(whole.concurrency, report.concurrency)
        whole.compared_by_age += report.compared_by_age
        whole.notices = tuple(dict.fromkeys((*whole.notices, *report.notices)))
        whole.job_id = report.job_id or whole.job_id
    whole.timeline = joined_timeline(parts)
    return whole


def _writable(path: Path) -> str:
    """Returns the absolute path of a file that can be written.

    Raises:
        ConfigurationError: it cannot.
    """
    if str(path) in (STREAM, "-"):
        raise ConfigurationError("--report writes a file; give its name, such as report.html")
    found = os.path.realpath(path)
    reason = _reason_against(found)
    if reason is not None:
        raise ConfigurationError(f"--report = {printable(str(path))} cannot be written: {reason}; choose another file")
    return found


def _reason_against(path: str) -> str | None:
    """Returns why a file cannot be written; None if it can."""
    try:
        if os.path.isdir(path):
            return "it is a directory"
        if os.path.exists(path) and not os.access(path, os.W_OK):
            return "permission denied"
        if _is_device(path):
            return None
        with suppress(FileNotFoundError):
            os.lstat(path)  # the name may be too long
        temporary = _temporary(path)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.unlink(temporary)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def _is_device(path: str) -> bool:
    """Returns whether a path is there and no file, such as a pipe: it is not replaced."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def _temporary(path: str) -> str:
    return os.path.join(os.path.dirname(path), f".dxflow-report-{secrets.token_hex(6)}")
