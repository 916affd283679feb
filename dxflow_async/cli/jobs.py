"""The commands `jobs list`, `jobs show`, `jobs resume` and `jobs clean`."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime

from cyclopts import App

from dxflow_async.blocking.fitting import display_width, shortened, shows_ascii_only, terminal_columns
from dxflow_async.blocking.tables import labelled_line, write_line, write_text
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.transfer import Output, run_transfer
from dxflow_async.cli.workers import OnWorkers
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.models import JobInfo, Leftover
from dxflow_async.plurals import counted
from dxflow_async.security.redaction import printable

__all__ = ["jobs"]

_DIRECT, _PLAIN, _HERE = Account(), Output(), OnWorkers()

jobs = App(
    name="jobs",
    help="List and resume running, interrupted and partly failed transfers, and clean up after them.",
    result_action="return_value",
)


@jobs.command(name="list")
def list_jobs(*, json: Flag = False) -> int:
    """List the running, interrupted and partly failed transfers.

    Args:
        json: Print a JSON object on each line.
    """
    for job in with_session(_DIRECT, lambda session: session.jobs()):
        if json:
            print_json("job", job.to_dict())
        else:
            write_line(_line(job))
    return 0


@jobs.command
def show(job_id: str, *, json: Flag = False) -> int:
    """Print the details of a job.

    Args:
        job_id: The id that jobs list prints.
        json: Print it as JSON.
    """
    (job,) = with_session(_DIRECT, lambda session: session.jobs(job_id))
    if json:
        print_json("job", job.to_dict())
        return 0
    write_line(_line(job))
    for place in job.uploads:
        write_line(labelled_line("begun in parts: ", place))
    for source, reason in job.failures.items():
        write_text(f"failed {printable(source)}: {printable(reason)}")
    return 0


@jobs.command
def resume(job_id: str, *, output: Output = _PLAIN, account: Account = _DIRECT, workers: OnWorkers = _HERE) -> int:
    """Resume a job: transfer the items that are not done, and large files from where they were interrupted.

    Args:
        job_id: The id that jobs list prints.
    """
    return run_transfer(
        lambda session, show, where: session.resume(job_id, on_progress=show, **where), output, account, workers
    )


@jobs.command
def clean(
    *job_ids: str, dry_run: Flag = False, yes: Flag = False, json: Flag = False, account: Account = _DIRECT
) -> int:
    """List what idle jobs have left: unfinished uploads, temporary files, the jobs themselves.

    Args:
        job_ids: The jobs; by default all of them.
        dry_run: Only list it, as without --yes.
        yes: Remove it. These jobs cannot be resumed afterwards.
        json: Print a JSON object on each line.
    """
    if dry_run and yes:
        raise ConfigurationError("--dry-run and --yes exclude each other: give one of them")
    left = with_session(account, lambda session: session.clean_jobs(*job_ids, dry_run=not yes))
    for each in left:
        if json:
            print_json("leftover", {"job_id": each.job_id, "kind": each.kind, "place": each.place, "removed": yes})
        else:
            write_line(_cleaned(each, done=yes))
    if left and not yes and not json:
        write_line("nothing was removed; --yes removes it")
    return 0


def _cleaned(left: Leftover, *, done: bool) -> str:
    if left.kind == "damaged":
        return labelled_line(f"{'set aside' if done else 'would set aside'} damaged job {left.job_id} as ", left.place)
    return labelled_line(f"{'removed' if done else 'would remove'} {left.kind:<6} ", left.place)


def _line(job: JobInfo) -> str:
    """Formats a job as one line, or as three where the terminal is narrow; the names in it are shortened."""
    state = f"process {job.pid} works on it" if job.pid is not None else "not under way"
    began = datetime.fromtimestamp(job.began, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    head = f"{job.id}  {began}  {job.operation}"
    counts = f"{job.done} done, {job.failed} failed, {counted(len(job.uploads), 'upload')} begun, {state}"
    columns = terminal_columns()
    if job.source is None:
        return f"{head}: {counts}" if columns is None else "\n  ".join(textwrap.wrap(f"{head}: {counts}", columns - 2))
    source, goal = printable(job.source), printable(job.destination or "")
    if columns is None or len(head) + len(counts) + display_width(source) + display_width(goal) + 7 <= columns:
        return f"{head} {source} to {goal}: {counts}"
    room = (columns - len("   to ")) // 2
    ascii_only = shows_ascii_only()
    ends = [shortened(each, max(room, 6), ascii_only=ascii_only) for each in (source, goal)]
    lines = [*textwrap.wrap(head, columns), "  " + " to ".join(ends)]
    return "\n".join([*lines, *(f"  {each}" for each in textwrap.wrap(counts, max(columns - 2, 20)))])
