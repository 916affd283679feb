"""The command `ui`: serves the page on this machine, and opens it in a browser."""

from __future__ import annotations

import asyncio
import sys
import webbrowser

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.run import Account, Flag, new_session, run_loop
from dxflow_async.config.settings import Settings
from dxflow_async.hub_page.doors import MachineDoor
from dxflow_async.hub_page.page import create_page_app
from dxflow_async.server.common.server import Listening, Server

__all__ = ["ui"]

_DIRECT = Account()


def ui(*, port: int = 0, no_browser: Flag = False, json: Flag = False, account: Account = _DIRECT) -> int:
    """Open a page that shows this machine, its remotes and the account's units, until Ctrl-C or SIGTERM.

    The page listens on this machine only. The address that opens it works once, for ten minutes.

    Args:
        port: The port; 0 takes a free one.
        no_browser: Print the address, and open no browser.
        json: Print a JSON object when it listens.
    """
    listening, make = Listening(port=port), new_session(account, Settings.load())

    async def serve() -> int:
        door = MachineDoor(make)
        server = Server(create_page_app(door), listening)
        url = await server.start()
        try:
            address = f"{url}/?ticket={door.new_ticket()}"
            if json:
                print_json("serving", {"url": address})
            else:
                write_line(f"the page is at {address}")
            sys.stdout.flush()
            if not no_browser:
                await asyncio.to_thread(webbrowser.open, address)
            await asyncio.Event().wait()
        finally:
            await server.aclose(_DRAIN_SECONDS)
        return 0

    return run_loop(serve)


_DRAIN_SECONDS = 5.0
