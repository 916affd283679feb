"""`cp` from standard input and to standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.json_lines import print_report
from dxflow_async.cli.options import Pace, Writing
from dxflow_async.cli.run import Account, with_session
from dxflow_async.cli.standard_streams import STREAM
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.models import TransferReport
from dxflow_async.session import AsyncSession

__all__ = ["copy_stream"]


def copy_stream(
    sources: Sequence[str],
    dst: str,
    area: str,
    writing: Writing,
    account: Account,
    pace: Pace,
    *,
    quiet: bool,
    json: bool,
) -> int:
    """Stores standard input under a name, or writes objects to standard output, in bounded memory.

    Raises:
        ConfigurationError: both sides are standard streams, or standard input has other sources beside it.
    """
    if dst == STREAM:
        if STREAM in sources:
            raise ConfigurationError("cp - - copies nothing; give a place on one side")
        return with_session(account, lambda session: _print(session, sources, area), pace, places=sources)
    if len(sources) > 1:
        raise ConfigurationError("standard input can be the only source")
    if dst.endswith("/"):
        raise ConfigurationError(f"standard input has no name; write one after {dst}")
    report = with_session(account, lambda session: _store(session, dst, area, writing), pace, places=(dst,))
    if json:
        print_report(report)
    elif not quiet:
        write_line(f"{report.bytes} bytes stored", sys.stderr)
    return 0


async def _print(session: AsyncSession, sources: Sequence[str], area: str) -> int:
    for source in sources:
        async with session.read(source, storage_type=area) as chunks:
            async for chunk in chunks:
                sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return 0


async def _store(session: AsyncSession, dst: str, area: str, writing: Writing) -> TransferReport:
    storage, path = await session.storage_at(dst, storage_type=area)
    arguments = writing.arguments()
    if arguments["overwrite"] == "if-newer":
        raise ConfigurationError("--update needs a source with a time; standard input has none")
    return await storage.write(path, sys.stdin.buffer, **arguments)
