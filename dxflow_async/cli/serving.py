"""Running a server in a process of its own, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
import sys

from dxflow_async.blocking.tables import write_line
from dxflow_async.server.common.logs import log_to_stderr
from dxflow_async.server.common.server import Server

__all__ = ["serve_until_told"]

# Threads that come back from the disk wait that long for the interpreter: with Python's own 5 ms, call after call, a
# busy server's slowest answers took seconds.
_SWITCH_SECONDS = 0.001


def serve_until_told(server: Server, what: str) -> int:
    """Serves until SIGTERM or Ctrl-C, then lets requests under way end.

    Args:
        server: not started yet.
        what: said on standard output when it listens, with `{url}` in it.

    Raises:
        KeyboardInterrupt: Ctrl-C came, and the server has ended.
    """
    log_to_stderr()
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Not on uvloop: under load it takes new connections one a round, and the last of 500 waited for seconds.
    asyncio.run(_serve(server, what))
    return 0


async def _serve(server: Server, what: str) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    write_line(what.replace("{url}", await server.start()))
    try:
        await told.wait()
    finally:
        await server.aclose()
