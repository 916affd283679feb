"""The command `check`."""

from __future__ import annotations

from dataclasses import asdict

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.options import Patterns, Quiet
from dxflow_async.cli.places import area_name
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import DIFFERS, DONE, FAILED
from dxflow_async.security.redaction import printable
from dxflow_async.transfer.sync.compare import Compare

__all__ = ["check"]

_DIRECT = Account()


def check(
    a: str,
    b: str,
    *,
    compare: Compare = "checksum",
    include: Patterns = (),
    exclude: Patterns = (),
    json: Flag = False,
    quiet: Quiet = False,
    public: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """Compare two directories, and print what differs, is missing or is extra. Nothing is changed.

    Args:
        a: A directory: a local path, or aws:/bucket/prefix.
        b: The other one.
        compare: By checksum (files and objects stored without one are read), size and time, or size.
        include: Compare only names that match this pattern, such as *.csv or raw/**; may be given several times.
        exclude: Skip names that match this pattern; may be given several times.
        json: Print a JSON object on each line.
        quiet: Print nothing but errors.
        public: Remote locations are in the account's public storage.
    """
    report = with_session(
        account,
        lambda session: session.check(
            a, b, compare=compare, include=include, exclude=exclude, storage_type=area_name(public=public)
        ),
    )
    for each in report:
        if json:
            print_json("difference", asdict(each))
        elif not quiet:
            write_line(f"{each.kind:<10} {each.size:>12} {printable(each.path)} ({printable(each.reason)})")
    counts = {name: len(getattr(report, name)) for name in ("differing", "missing", "extra", "unreadable")}
    if json:
        print_json("check", {"ok": report.ok, "same": report.same, **counts})
    elif not quiet:
        write_line(f"{report.same} same; " + "; ".join(f"{count} {name}" for name, count in counts.items()))
    if counts["unreadable"]:
        return FAILED
    return DONE if report.ok else DIFFERS
