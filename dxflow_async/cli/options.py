"""The options that several commands share."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dxflow_async.blocking.progress import ProgressMode
from dxflow_async.cli.log_lines import log_more
from dxflow_async.cli.run import Flag, Texts
from dxflow_async.cli.sizes import time_of
from dxflow_async.cli.standard_streams import STREAM
from dxflow_async.cli.status import complain
from dxflow_async.config.quantities import to_size
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.encryption import Encryption
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.selection import Selection

__all__ = ["Choice", "DryRun", "Pace", "Quiet", "ReportPath", "Shown", "Writing", "listed_names"]

DryRun = Annotated[Flag, Parameter(name=["--dry-run", "-n"])]
Quiet = Annotated[Flag, Parameter(name=["--quiet", "-q"])]
ReportPath = Annotated[Path | None, Parameter(name="--report")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Choice:
    """Which items are taken.

    Attributes:
        include: Only names that match this pattern, such as *.csv, raw/** or re:run-[0-9]+/.*; may be given several
            times.
        exclude: No names that match this pattern; may be given several times.
        files_from: Only the names in this file, one a line, relative to the directory; - is standard input.
        newer: Only what changed since then: an age such as 2d, or a date such as 2026-11-30.
        older: Only what has not changed since then.
        larger: Only objects of at least this size, such as 1GiB.
        smaller: Only objects of less than this size.
    """

    include: Texts = ()
    exclude: Texts = ()
    files_from: str | None = None
    newer: str | None = None
    older: str | None = None
    larger: str | None = None
    smaller: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments of a call.

        Raises:
            ConfigurationError: a value is invalid, or the file of names cannot be read.
        """
        found: dict[str, Any] = {"include": self.include, "exclude": self.exclude}
        if self.files_from is not None:
            found["files"] = listed_names(self.files_from)
        for name in ("newer", "older"):
            if (text := getattr(self, name)) is not None:
                found[name] = time_of(text, f"--{name}")
        for name in ("larger", "smaller"):
            if (text := getattr(self, name)) is not None:
                found[name] = _size(text, f"--{name}")
        return found

    def note_nothing(self) -> None:
        """Prints that nothing was selected, with the options that select; nothing where none is given."""
        given = [f"--{each.name.replace('_', '-')}" for each in fields(self) if getattr(self, each.name)]
        if given:
            complain(f"nothing was selected: nothing there meets {' and '.join(given)}")

    def selection(self) -> Selection | None:
        """Returns the items that are taken; None: all of them. Raises as `arguments`."""
        found = Selection.of(**self.arguments())
        return None if found.takes_all else found


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Writing:
    """What is stored, and what is replaced.

    Attributes:
        no_overwrite: Skip what exists at the destination.
        update: Replace only what is older than its source.
        content_type: The media type; by default each name's ending decides.
        cache_control: The header Cache-Control of the new objects.
        storage_class: The storage class, such as STANDARD_IA; by default that of the source, within a cloud.
        sse: Encrypt at the service: AES256 with its own key, aws:kms or aws:kms:KEY with one of its key management.
        meta: Metadata, written name=value; may be given several times.
        tag: A tag, written name=value; may be given several times.
    """

    no_overwrite: Flag = False
    update: Flag = False
    content_type: str | None = None
    cache_control: str | None = None
    storage_class: str | None = None
    sse: str | None = None
    meta: Texts = ()
    tag: Texts = ()

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments of a call.

        Raises:
            ConfigurationError: the options contradict each other.
        """
        if self.no_overwrite and self.update:
            raise ConfigurationError("--no-overwrite and --update exclude each other: give one of them")
        overwrite = "skip" if self.no_overwrite else "if-newer" if self.update else True
        return {"options": self.options, "overwrite": overwrite}

    @property
    def options(self) -> ObjectOptions | None:
        """What is stored with the objects; None: the defaults."""
        found = ObjectOptions(
            content_type=self.content_type,
            metadata=_pairs(self.meta, "--meta"),
            cache_control=self.cache_control,
            storage_class=self.storage_class,
            tags=_pairs(self.tag, "--tag") or None,
            encryption=_encryption(self.sse),
        )
        return None if found == ObjectOptions() else found


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Shown:
    """What a command shows while it works.

    Attributes:
        progress: Show a bar, or a line every 30 seconds, or nothing; auto is a bar on a terminal, and lines elsewhere.
        verbose: Log a line for each item that is moved; -vv also logs retries, and -vvv everything.
    """

    progress: ProgressMode = "auto"
    verbose: Annotated[int, Parameter(name=["--verbose", "-v"], count=True, show_default=False)] = 0

    @contextmanager
    def bar(self, label: str, *, json: bool, quiet: bool) -> Iterator[OnProgress | None]:
        """Shows progress while the block runs; yields the callback that updates it.

        Args:
            label: what the command does.
            json: it prints JSON lines. On a terminal they would overwrite the bar.
            quiet: nothing is shown.
        """
        from dxflow_async.blocking.progress import progress_bar

        log_more(self.verbose)
        enabled = not quiet and not (json and sys.stdout.isatty())
        with progress_bar(label, enabled=enabled, mode=self.progress, stays=False, lines=True) as show:
            yield show


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a transfer may be.

    Attributes:
        concurrency: The most requests in flight to one service.
        bandwidth: The most bytes a second, such as 50MiB.
        part_size: The smallest part of a large file, such as 16MiB.
    """

    concurrency: int | None = None
    bandwidth: str | None = None
    part_size: str | None = None

    def applied_to(self, settings: Settings) -> Settings:
        """Returns the settings with these options."""
        changes: dict[str, Any] = {}
        if self.concurrency is not None:
            changes["max_concurrency"] = self.concurrency
        if self.bandwidth is not None:
            changes["max_bandwidth"] = _size(self.bandwidth, "--bandwidth")
        if self.part_size is not None:
            changes["part_size"] = _size(self.part_size, "--part-size")
        return replace(settings, **changes) if changes else settings


def listed_names(file: str) -> tuple[str, ...]:
    """Reads names from a file, one on each line, or separated by NUL characters if it has any.

    Editors and shells of Windows begin a file with a byte order mark, and some write UTF-16.

    Args:
        file: its path; `-` is standard input.

    Raises:
        ConfigurationError: it cannot be read, or has such a mark and is not UTF-16.
    """
    try:
        if file in (STREAM, "-"):
            data = sys.stdin.buffer.read()
        else:
            with open(file, "rb") as opened:
                data = opened.read()
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(f"--files-from {file} cannot be read: {reason}; check the path") from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError as error:
            raise ConfigurationError(f"--files-from {file} begins as UTF-16 and is not; write it in UTF-8") from error
    data = data.removeprefix(codecs.BOM_UTF8)
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return tuple(line.decode("utf-8", "surrogateescape") for line in lines if line.strip())


def _size(text: str, option: str) -> int:
    return to_size(option, text)


def _encryption(text: str | None) -> Encryption | None:
    """Returns the encryption that `--sse` names, as the AWS CLI spells it, or as `kms` and `kms:KEY`."""
    if text is None:
        return None
    kind, _, key = text.removeprefix("aws:").partition(":")
    if kind == "AES256" and not key:
        return Encryption.service()
    if kind == "kms":
        return Encryption.managed(key or None)
    raise ConfigurationError(f"--sse = {text!r} is not allowed; it must be AES256, aws:kms or aws:kms:KEY")


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise ConfigurationError(f"{option} = {text!r} is not allowed; write name=value")
        found[name] = value
    return found
