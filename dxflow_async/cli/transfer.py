"""The commands `cp`, `mv` and `sync`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from cyclopts import Parameter

from dxflow_async.blocking.tables import difference_line, write_line, write_text
from dxflow_async.cli.json_lines import print_plan, print_report
from dxflow_async.cli.listing import Recursive
from dxflow_async.cli.options import Choice, DryRun, Pace, Quiet, ReportPath, Shown, Writing
from dxflow_async.cli.places import area_name
from dxflow_async.cli.preview import preview
from dxflow_async.cli.report_file import ReportFile, joined
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.standard_streams import STREAM
from dxflow_async.cli.status import DONE, FAILED
from dxflow_async.cli.streaming import StreamCopy, stream_copy
from dxflow_async.cli.watching import check_watched, is_remote, sync_again
from dxflow_async.cli.workers import OnWorkers
from dxflow_async.config.quantities import to_seconds
from dxflow_async.exceptions import ConfigurationError, TransferError
from dxflow_async.models import SyncPlan, TransferReport
from dxflow_async.plurals import counted
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.executor.options import ExecutorOptions
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions
from dxflow_async.transfer.sync.compare import Compare

__all__ = ["Output", "cp", "mv", "run_transfer", "sync"]


_SHOWN = Shown()

_STABLE_SECONDS = 30.0


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Output:
    """The output of a transfer.

    Attributes:
        json: Print a JSON object for each item, and one with the sums.
        quiet: Print nothing but errors.
        report: Write a page with charts of the transfer there, such as report.html, also if it fails.
        discard: Remove the finished parts of large files on Ctrl-C, instead of keeping them for jobs resume.
        shown: what is shown meanwhile.
    """

    json: Flag = False
    quiet: Quiet = False
    report: ReportPath = None
    discard: Flag = False
    shown: Shown = _SHOWN


_OPERATIONS = {"copying": "copy", "moving": "move"}

_DIRECT, _PLAIN, _HERE = Account(), Output(), OnWorkers()
_ALL, _REPLACE, _FREE = Choice(), Writing(), Pace()

Transfer = Callable[[AsyncSession, OnProgress | None, CallOptions], Awaitable[TransferReport]]


def cp(
    *places: str,
    recursive: Recursive = False,
    choice: Choice = _ALL,
    writing: Writing = _REPLACE,
    symlinks: Symlinks = "follow",
    dry_run: DryRun = False,
    public: Flag = False,
    output: Output = _PLAIN,
    account: Account = _DIRECT,
    pace: Pace = _FREE,
    workers: OnWorkers = _HERE,
) -> int:
    """Copy files and directories between any two places.

    Args:
        places: The sources, and at the end the destination. A source is a local path, aws:/bucket/key or the like, a
            pattern, - for standard input, or a pipe or device, which is read to its end; of a directory with a slash
            at its end only the content is copied. The destination is with a slash at its end the directory to copy
            into, else the new name, - for standard output, or a pipe or device, which is written into. An existing
            local directory counts as written with the slash.
        recursive: Accepted, and not needed: directories are copied with everything in them.
        symlinks: Links below directories are followed, skipped, or kept as objects NAME.rclonelink, which become links
            again.
        dry_run: Only print what would be copied.
        public: Remote locations are in the account's public storage.
    """
    assert recursive is not None
    sources, dst = _ends(places)
    if (streams := stream_copy(sources, dst)) is not None:
        if output.report is not None:
            raise ConfigurationError("--report shows no streams; give places of files on both sides")
        if choice != _ALL:
            raise ConfigurationError("a stream is no directory to choose from; leave out --include and the like")
        if symlinks != "follow":
            raise ConfigurationError("a stream has no links below it; leave out --symlinks")
        copy = StreamCopy(sources, dst, *streams, public, output.json, output.quiet, output.shown)
        return copy.preview() if dry_run else copy.run(writing, account, pace)
    return _relocate(
        sources,
        dst,
        choice,
        writing,
        output,
        account,
        pace,
        workers,
        symlinks=symlinks,
        move=False,
        dry_run=dry_run,
        public=public,
    )


def mv(
    *places: str,
    recursive: Recursive = False,
    choice: Choice = _ALL,
    writing: Writing = _REPLACE,
    symlinks: Symlinks = "follow",
    dry_run: DryRun = False,
    public: Flag = False,
    output: Output = _PLAIN,
    account: Account = _DIRECT,
    pace: Pace = _FREE,
    workers: OnWorkers = _HERE,
) -> int:
    """Move files and directories between any two places. A source is deleted once its copy is stored.

    Args:
        places: The sources, and at the end the destination, as for cp.
        recursive: Accepted, and not needed: directories are moved with everything in them.
        symlinks: As for cp.
        dry_run: Only print what would be moved.
        public: Remote locations are in the account's public storage.
    """
    assert recursive is not None
    sources, dst = _ends(places)
    if STREAM in (*sources, dst):
        raise ConfigurationError("mv has no use for -; cp reads standard input and writes standard output")
    return _relocate(
        sources,
        dst,
        choice,
        writing,
        output,
        account,
        pace,
        workers,
        symlinks=symlinks,
        move=True,
        dry_run=dry_run,
        public=public,
    )


def sync(
    src: str,
    dst: str,
    *,
    delete: Flag = False,
    compare: Compare = "size+mtime",
    choice: Choice = _ALL,
    dry_run: DryRun = False,
    watch: Flag = False,
    interval: str | None = None,
    stable: str | None = None,
    public: Flag = False,
    output: Output = _PLAIN,
    account: Account = _DIRECT,
    pace: Pace = _FREE,
    workers: OnWorkers = _HERE,
) -> int:
    """Sync a directory: copy what is new or changed.

    Args:
        src: The directory to read: a local path, or aws:/bucket/prefix.
        dst: The directory to change. It is made if it does not exist.
        delete: Delete what only the destination has, at the end, if all copies succeeded. What is in the way of a copy
            is deleted before it. What cannot be read at the source is kept, and is a failure.
        compare: When files count as the same: equal size and time, checksum, or size.
        dry_run: Only print the plan.
        watch: Sync again whenever a file at the source changes, until Ctrl-C.
        interval: With --watch, sync again after this time instead, such as 60s; for remote sources.
        stable: Copy only what has not changed for this time, as two listings show it, such as 30s; 0s copies all. By
            default it is 30s with --watch and a remote source, and at most --interval.
        public: Remote locations are in the account's public storage.
    """
    area, chosen = area_name(public=public), choice.arguments()
    _check_report(output, dry_run=dry_run)
    if dry_run and watch:
        raise ConfigurationError("--dry-run and --watch exclude each other: give one of them")
    if interval is not None and not watch:
        raise ConfigurationError("--interval needs --watch: give both")
    settled = _stable_seconds(src, stable, interval)
    if dry_run:
        plan = with_session(
            account,
            lambda session: session.sync(
                src,
                dst,
                delete=delete,
                compare=compare,
                **chosen,
                dry_run=True,
                stable=settled,
                storage_type=area,
            ),
            places=(src, dst),
        )
        _print_plan(plan, output, choice)
        return FAILED if plan.skips else DONE

    async def transfer(session: AsyncSession, show: OnProgress | None, where: CallOptions) -> TransferReport:
        report: TransferReport = await session.sync(
            src,
            dst,
            delete=delete,
            compare=compare,
            stable=settled,
            storage_type=area,
            on_progress=show,
            **chosen,
            **where,
        )
        return report

    if watch:
        seconds = None if interval is None else max(1.0, to_seconds("--interval", interval))
        return _watch(src, dst, transfer, seconds, output, account, workers, pace)
    return run_transfer(
        transfer,
        output,
        account,
        workers,
        pace,
        places=(src, dst),
    )


def _stable_seconds(src: str, stable: str | None, interval: str | None) -> float:
    """Returns for how long a file must not have changed to be copied. `interval` is only given with --watch."""
    if stable is not None:
        return to_seconds("--stable", stable)
    if interval is None or not is_remote(src):
        return 0.0
    return min(_STABLE_SECONDS, to_seconds("--interval", interval))


def _watch(
    src: str,
    dst: str,
    transfer: Transfer,
    interval: float | None,
    output: Output,
    account: Account,
    workers: OnWorkers,
    pace: Pace,
) -> int:
    """Syncs again and again; returns when it is cancelled."""
    check_watched(src, interval)

    page = ReportFile(output.report)

    def show(report: TransferReport) -> None:
        if output.json:
            print_report(report)
        elif not output.quiet:
            write_text(_summary(report))
        sys.stdout.flush()

    async def call(session: AsyncSession) -> int:
        async with workers.options() as where:
            return await sync_again(
                session,
                src,
                lambda one: _reported(page, transfer(one, None, _call_options(where, discard=output.discard))),
                interval,
                show,
                json=output.json,
            )

    return with_session(account, call, pace, places=(src, dst))


async def _reported(page: ReportFile, call: Awaitable[TransferReport]) -> TransferReport:
    """Returns the report of a call, once the page shows it."""
    try:
        report = await call
    except TransferError as error:
        await asyncio.to_thread(page.write_now, error.report)
        raise
    if len(report):
        await asyncio.to_thread(page.write_now, report)
    return report


def _relocate(
    sources: Sequence[str],
    dst: str,
    choice: Choice,
    writing: Writing,
    output: Output,
    account: Account,
    pace: Pace,
    workers: OnWorkers,
    *,
    symlinks: Symlinks,
    move: bool,
    dry_run: bool,
    public: bool,
) -> int:
    """Copies or moves, or only prints what would be; returns the exit status."""
    _check_report(output, dry_run=dry_run)
    if dry_run:
        if symlinks != "follow":
            raise ConfigurationError("--dry-run shows what links lead to; leave out --symlinks")
        return preview(sources, dst, choice, account, move=move, public=public, json=output.json, quiet=output.quiet)
    arguments = {"storage_type": area_name(public=public), **choice.arguments(), **writing.arguments()}
    arguments["symlinks"] = symlinks

    async def transfer(session: AsyncSession, show: OnProgress | None, where: CallOptions) -> TransferReport:
        call = session.move if move else session.copy
        return await _each_place(sources, lambda group: call(group, dst, on_progress=show, **arguments, **where))

    label = "moving" if move else "copying"
    return run_transfer(transfer, output, account, workers, pace, places=(*sources, dst), label=label, choice=choice)


def _ends(places: Sequence[str]) -> tuple[list[str], str]:
    """Splits the arguments into the sources and the destination."""
    *sources, dst = places or ("",)
    if not sources:
        raise ConfigurationError("a source and a destination are needed: dxflow-async cp SOURCE... DESTINATION")
    return sources, dst


async def _each_place(sources: Sequence[str], call: Callable[[list[str]], Awaitable[TransferReport]]) -> TransferReport:
    """Makes a call for the sources of each place, one after the other, and returns one report of all.

    Raises:
        TransferError: an item failed; its report has the items of all calls.
    """
    groups = [[*group] for _, group in groupby(sources, key=_place_of)]
    if len(groups) == 1:
        return await call(groups[0])
    reports, failure = [], None
    for group in groups:
        try:
            reports.append(await call(group))
        except TransferError as error:
            reports.append(error.report)
            failure = error
    whole = joined(reports)
    if failure is not None:
        text = f"{len(whole.failed)} of {counted(len(whole), 'item')} failed; the first: {whole.failed[0].error}"
        raise TransferError(text, report=whole, operation=failure.operation)
    return whole


def _place_of(source: str) -> str:
    """Returns the part of a location that names the place: sources of one place share a call."""
    scheme, colon, rest = source.partition(":")
    if not colon or "/" in scheme:
        return ""
    if scheme == "unit" or rest.startswith("//"):
        return f"{scheme}:{rest.lstrip('/').partition('/')[0]}"
    return scheme.lower()


def _call_options(where: ExecutorOptions, *, discard: bool) -> CallOptions:
    """Returns how a call of a command runs: what Ctrl-C interrupts can be resumed."""
    options: CallOptions = {"on_cancel": "discard" if discard else "keep"}
    options.update(where)  # type: ignore[typeddict-item]
    return options


def run_transfer(
    transfer: Transfer,
    output: Output,
    account: Account,
    workers: OnWorkers,
    pace: Pace = _FREE,
    *,
    places: Sequence[str] = (),
    label: str = "copying",
    choice: Choice = _ALL,
) -> int:
    """Makes a call with a progress bar, and prints its report; also that `choice` selected nothing."""
    with ReportFile(output.report, _OPERATIONS.get(label, "")) as page:
        try:
            with output.shown.bar(label, json=output.json, quiet=output.quiet) as show:

                async def call(session: AsyncSession) -> TransferReport:
                    page.follow()
                    async with workers.options() as where:
                        how = _call_options(where, discard=output.discard)
                        return await transfer(session, show, how)

                report = with_session(account, call, pace, places=places)
        except TransferError as error:
            page.show(error.report)
            if output.json:
                print_report(error.report)
            raise
        page.show(report)
        if output.json:
            print_report(report)
        elif not output.quiet:
            write_text(_summary(report))
    if not (len(report) or output.quiet):
        choice.note_nothing()
    return FAILED if report.unreadable else DONE


def _check_report(output: Output, *, dry_run: bool) -> None:
    if dry_run and output.report is not None:
        raise ConfigurationError("--dry-run moves nothing that --report could show; leave one of them out")


def _summary(report: TransferReport) -> str:
    from rich.filesize import decimal

    deleted = sum(each.deleted for each in report)
    items = counted(len(report) - deleted, "item")
    moved = f"{items}, {decimal(report.bytes)} in {report.seconds:.2f} s, {decimal(int(report.goodput))}/s"
    skipped = "".join(f"\nskipped {printable(each.source)}: {printable(each.skipped or '')}" for each in report.skipped)
    gone = f", {deleted} deleted" if deleted else ""
    rule = _by_age(report.compared_by_age)
    notices = "".join(f"\n{printable(notice)}" for notice in report.notices)
    return f"{moved}, {_verified(report)}, {counted(report.retries, 'retry', 'retries')}{gone}{rule}{skipped}{notices}"


def _verified(report: TransferReport) -> str:
    if report.unverified or not report.verified:
        return printable(report.verification)
    return f"{report.verified} verified ({report.verification})"


def _by_age(count: int) -> str:
    return f"\n{count} compared by size and age: no time is kept with them at the destination" if count else ""


def _print_plan(plan: SyncPlan, output: Output, choice: Choice) -> None:
    """Prints a plan; also that `choice` selected nothing."""
    if not (len(plan) or plan.unchanged or output.quiet):
        choice.note_nothing()
    from rich.filesize import decimal

    if output.json:
        print_plan(plan)
        return
    if output.quiet:
        return
    for action in plan:
        write_line(difference_line(action.kind, action.size, action.path, action.reason, kind_columns=6))
    write_text(
        f"{plan.copies} to copy, {decimal(plan.bytes)}; {plan.deletes} to delete; {plan.skips} to skip; "
        f"{plan.unchanged} unchanged{_by_age(plan.compared_by_age)}"
    )
