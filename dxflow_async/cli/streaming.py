"""`cp` from and to standard streams, pipes and devices."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from dxflow_async.blocking.tables import write_line, write_text
from dxflow_async.cli.byte_streams import ByteStream, find_stream
from dxflow_async.cli.json_lines import print_json, print_report
from dxflow_async.cli.options import Pace, Shown, Writing
from dxflow_async.cli.places import Place, area_name, found_places
from dxflow_async.cli.run import Account, with_session
from dxflow_async.cli.standard_streams import STREAM
from dxflow_async.cli.status import PLACE_ERRORS, Failures
from dxflow_async.exceptions import ConfigurationError, StorageError, UnitNotFoundError
from dxflow_async.models import TransferReport, TransferResult
from dxflow_async.plurals import counted
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession

__all__ = ["StreamCopy", "stream_copy"]


def stream_copy(sources: Sequence[str], dst: str) -> tuple[list[ByteStream | None], ByteStream | None] | None:
    """Returns the streams among the places of `cp`; None if there is none, or the destination is a directory of many.

    A device among several sources is left to the transfer, which names it as one that cannot be copied.
    """
    found, target = [find_stream(each) for each in sources], find_stream(dst, into=True)
    if target is None and len(sources) > 1 and STREAM not in sources:
        return None
    return None if target is None and not any(found) else (found, target)


@dataclass(frozen=True, slots=True)
class StreamCopy:
    """One `cp` in which a side is a stream.

    Attributes:
        sources: the sources as the user wrote them.
        dst: the destination.
        found: the stream that each source is, or None.
        target: the stream that the destination is, or None.
        public: whether remote locations are in the account's public storage.
        json, quiet: as for every command.
        shown: what is shown meanwhile.
    """

    sources: Sequence[str]
    dst: str
    found: Sequence[ByteStream | None]
    target: ByteStream | None
    public: bool
    json: bool
    quiet: bool
    shown: Shown

    def preview(self) -> int:
        """Prints what would be copied; returns the exit status."""
        for source in self.sources:
            name = "standard input" if source == STREAM else source
            if self.json:
                print_json("action", {"kind": "copy", "path": name, "size": 0, "reason": "a stream; dry run"})
            elif not self.quiet:
                goal = "standard output" if self.dst == STREAM else self.dst
                write_text(f"would stream {printable(name)} to {printable(goal)}; nothing was transferred")
        return 0

    def run(self, writing: Writing, account: Account, pace: Pace) -> int:
        """Copies; returns the exit status.

        Raises:
            ConfigurationError: the places or options do not fit together.
        """
        self._check()
        places = [each for each in (*self.sources, self.dst) if each != STREAM]
        if self.target is not None:
            if writing != Writing():
                raise ConfigurationError(
                    f"{self._goal} keeps nothing beside the bytes; leave out the options for what is stored"
                )
            return with_session(account, self._print, pace, places=places)
        report = with_session(account, lambda session: self._store(session, writing), pace, places=places)
        if self.json:
            print_report(report)
        elif not self.quiet:
            write_line(f"{counted(report.bytes, 'byte')} stored", sys.stderr)
        return 0

    @property
    def _goal(self) -> str:
        return "standard output" if self.dst == STREAM else self.dst

    def _check(self) -> None:
        if self.target is not None:
            if self.dst == STREAM and STREAM in self.sources:
                raise ConfigurationError("cp - - copies nothing; give a place on one side")
            if self.json and self.target.is_output:
                raise ConfigurationError(
                    "--json prints lines where the bytes go; cat --json prints the bytes in JSON lines"
                )
        elif len(self.sources) > 1:
            raise ConfigurationError("standard input can be the only source")
        elif self.dst.endswith("/") and self._name is None:
            raise ConfigurationError(f"standard input has no name; write one after {self.dst}")

    @property
    def _name(self) -> str | None:
        (stream,) = self.found
        return None if stream is None else stream.name

    async def _print(self, session: AsyncSession) -> int:
        """Writes all sources into the destination, one after the other."""
        assert self.target is not None
        if not self.target.is_output:
            await self._check_sources(session)
        results, failures, began = [], Failures(json=self.json), time.monotonic()
        async with self.target.written() as write:
            for source, stream in zip(self.sources, self.found, strict=True):
                try:
                    async with aclosing(self._contents(session, source, stream)) as files:
                        async for name, chunks in files:
                            start, size = time.monotonic(), 0
                            async with aclosing(chunks):
                                async for chunk in chunks:
                                    await write(chunk)
                                    size += len(chunk)
                            results.append(TransferResult(name, self._goal, size, time.monotonic() - start))
                            failures.note_success()
                except PLACE_ERRORS as error:
                    if isinstance(error, StorageError) and error.operation == "write":
                        raise
                    failures.add(error)
        report = TransferReport(results, time.monotonic() - began)
        if self.json:
            print_report(report)
        elif not (self.quiet or self.target.is_output):
            write_line(f"{counted(report.bytes, 'byte')} written to {printable(self._goal)}", sys.stderr)
        return failures.status

    async def _contents(
        self, session: AsyncSession, source: str, stream: ByteStream | None
    ) -> AsyncGenerator[tuple[str, AsyncGenerator[bytes, None]], None]:
        """Yields the name and the bytes of each file that a source names."""
        if stream is not None:
            yield stream.shown, stream.chunks()
            return
        async for place in found_places(session, (source,), public=self.public):
            await _check_file(place)
            yield place.location, place.storage.read(place.path)

    async def _check_sources(self, session: AsyncSession) -> None:
        """Refuses directories before the destination is opened, since a pipe waits for its reader.

        What cannot be found is told when its turn comes.
        """
        for source, stream in zip(self.sources, self.found, strict=True):
            if stream is None:
                with suppress(StorageError, UnitNotFoundError):
                    async for place in found_places(session, (source,), public=self.public):
                        await _check_file(place)

    async def _store(self, session: AsyncSession, writing: Writing) -> TransferReport:
        """Stores the one source under a name."""
        (stream,) = self.found
        assert stream is not None
        dst = self.dst
        if self._name is not None and (dst.endswith("/") or await asyncio.to_thread(os.path.isdir, dst)):
            dst = f"{dst.rstrip('/')}/{self._name}"
        storage, path = await session.storage_at(dst, storage_type=area_name(public=self.public))
        arguments = writing.arguments()
        if arguments["overwrite"] == "if-newer":
            raise ConfigurationError(f"--update needs a source with a time; {stream.shown} has none")
        with self.shown.bar("copying", json=self.json, quiet=self.quiet) as show:
            return await storage.write(path, stream.chunks(), on_progress=show, **arguments)


async def _check_file(place: Place) -> None:
    item = await place.storage.stat(place.path)
    if item.directory:
        raise ConfigurationError(f"{place.location} is a directory; name the files whose bytes are wanted")
