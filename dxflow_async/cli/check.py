"""The command `check`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from dxflow_async.blocking.tables import difference_line, write_line, write_text
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.manifest_check import ManifestCheck
from dxflow_async.cli.options import Choice, Quiet
from dxflow_async.cli.places import area_name
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import DIFFERS, DONE, FAILED
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.transfer.sync.compare import Compare

__all__ = ["check"]

Algorithm = Literal["sha256", "crc32c", "sha512", "sha1", "md5"]

_DIRECT, _ALL = Account(), Choice()


def check(
    a: str,
    b: str | None = None,
    *,
    compare: Compare = "checksum",
    manifest: str | None = None,
    write: Flag = False,
    algorithm: Algorithm | None = None,
    choice: Choice = _ALL,
    json: Flag = False,
    quiet: Quiet = False,
    public: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """Compare two directories, or one with a list of checksums. Prints what differs, is missing or is extra.

    Nothing is changed, but for the list that --write makes. The list is one of sha256sum or its siblings, of CRC32C, or
    the manifest of a BagIt bag (manifest-sha256.txt), and may be remote, too.

    Args:
        a: A directory: a local path, or aws:/bucket/prefix.
        b: The other one; none with --manifest.
        compare: By checksum (files and objects stored without one are read), size and time, or size.
        manifest: Compare with the list of checksums in this file. All bytes are read.
        write: Write the list to the file that --manifest names.
        algorithm: The checksums of a new list; by default the one that its name tells, else sha256.
        json: Print a JSON object on each line.
        quiet: Print nothing but errors.
        public: Remote locations are in the account's public storage.
    """
    _check_sides(b, manifest, needs_manifest=write or algorithm is not None)
    if manifest is not None:
        work = ManifestCheck(a, manifest, choice.selection(), algorithm, json, quiet, public)
        return with_session(account, work.write if write else work.verify, places=(a, manifest))
    assert b is not None
    return _compare(a, b, compare, choice, account, json=json, quiet=quiet, public=public)


def _check_sides(b: str | None, manifest: str | None, *, needs_manifest: bool) -> None:
    if manifest is not None and b is not None:
        raise ConfigurationError("--manifest takes the place of the second directory: give one directory")
    if manifest is None and needs_manifest:
        raise ConfigurationError("--write and --algorithm need --manifest FILE")
    if manifest is None and b is None:
        raise ConfigurationError("a second directory is needed, or a list of checksums: --manifest FILE")


def _compare(
    a: str, b: str, compare: Compare, choice: Choice, account: Account, *, json: bool, quiet: bool, public: bool
) -> int:
    chosen = choice.arguments()
    report = with_session(
        account,
        lambda session: session.check(a, b, compare=compare, storage_type=area_name(public=public), **chosen),
        places=(a, b),
    )
    for each in report:
        if json:
            print_json("difference", asdict(each))
        elif not quiet:
            write_line(difference_line(each.kind, each.size, each.path, each.reason))
    counts = {name: len(getattr(report, name)) for name in ("differing", "missing", "extra", "unreadable")}
    if json:
        print_json("check", {"ok": report.ok, "same": report.same, **counts})
    elif not quiet:
        write_text(f"{report.same} same; " + "; ".join(f"{count} {name}" for name, count in counts.items()))
    if not (report.same or report or quiet):
        choice.note_nothing()
    if counts["unreadable"]:
        return FAILED
    return DONE if report.ok else DIFFERS
