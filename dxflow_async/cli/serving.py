"""Running a server in this process until it is told to end."""

from __future__ import annotations

import asyncio
import signal
import sys

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.json_lines import print_json
from dxflow_async.server.common.logs import log_to_stderr
from dxflow_async.server.common.server import Server

__all__ = ["serve_until_told"]

# A thread that returns from the disk waits this long for the interpreter. With Python's default of 5 ms the slowest
# answers of a busy server took seconds.
_SWITCH_SECONDS = 0.001


def serve_until_told(server: Server, what: str, *, json: bool = False) -> int:
    """Serves until SIGTERM or Ctrl-C, then lets running requests end.

    Args:
        server: the server, which is not started yet.
        what: the text to print when the server listens; `{url}` in it is replaced.
        json: print a JSON line instead.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, and the server has ended.
    """
    log_to_stderr()
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Not on uvloop: under load it accepts one connection in each iteration, and the last of 500 waited for seconds.
    asyncio.run(_serve(server, what, json=json))
    return 0


async def _serve(server: Server, what: str, *, json: bool) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    url = await server.start()
    if json:
        print_json("serving", {"url": url})
    else:
        write_line(what.replace("{url}", url))
    sys.stdout.flush()
    try:
        await told.wait()
    finally:
        await server.aclose()
