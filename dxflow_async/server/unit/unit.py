"""What a unit's handlers share: its volume, its uploads, its secrets, and the threads in which all of these block."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from dxflow_async.concurrency.exit_safe_executor import ExitSafeExecutor
from dxflow_async.durability import sync_file
from dxflow_async.server.common.middleware import refusal
from dxflow_async.server.common.names import parse_query, volume_path
from dxflow_async.server.common.unit_secrets import UnitSecrets
from dxflow_async.server.unit.summing import Sums
from dxflow_async.server.unit.uploads import Uploads
from dxflow_async.server.unit.volume import Volume
from dxflow_async.server.unit.workspace import Workspace

__all__ = ["STALL_SECONDS", "UNIT", "Unit", "path_parameter"]

T = TypeVar("T")

STALL_SECONDS = 60.0
"""Seconds without a byte, in either direction, after which a connection is closed."""

# More threads would only wait for the interpreter.
_THREADS = 4
_LONG_THREADS = 2


class Unit:
    """A directory that is served.

    Args:
        root: the directory.
        secrets: the secrets that requests must have.
        durable: an answer that something was stored is sent once it is on disk.

    Attributes:
        stopped: requests for its storage are refused.
        receiving: uploads whose bytes are arriving.
        sums: checksums that were computed.

    Raises:
        ConfigurationError: the directory cannot be served.
    """

    def __init__(self, root: Path, secrets: UnitSecrets, *, durable: bool = True) -> None:
        self.secrets = secrets
        self.stopped = False
        self.receiving = 0
        self.volume = Volume(root, durable=durable)
        self._ending = threading.Event()
        self.workspace = Workspace(self.volume, self._ending)
        self.uploads = Uploads(self.workspace)
        self.sums = Sums()
        self._threads = ExitSafeExecutor(_THREADS, thread_name_prefix="dxflow-unit")
        self._long_threads = ExitSafeExecutor(_LONG_THREADS, thread_name_prefix="dxflow-unit-copy")

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Runs a short call in a thread and returns its result."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def run_long(self, call: Callable[..., T], *arguments: object) -> T:
        """Runs a call that may take minutes in a thread of its own kind, so that it delays no short call."""
        return await asyncio.get_running_loop().run_in_executor(self._long_threads, call, *arguments)

    async def examine(self) -> dict[str, Any]:
        """Returns whether the volume can be written and read, and its free space in bytes."""
        return await self.run(self._examine)

    def _examine(self) -> dict[str, Any]:
        try:
            with self.workspace.directory() as directory, self.workspace.temporary_file(directory) as (file, _):
                os.write(file, b"examined")
                sync_file(file)
            return {"volume": "ok", "free_bytes": self.volume.free_bytes()}
        except OSError as error:
            return {"volume": error.strerror or str(error), "free_bytes": 0}

    async def aclose(self) -> None:
        """Stops copies, waits for the threads, and closes the directory."""
        self._ending.set()
        for threads in (self._threads, self._long_threads):
            await asyncio.to_thread(threads.shutdown)
        self.volume.close()


UNIT = web.AppKey("unit", Unit)


def path_parameter(request: web.Request, name: str = "path", default: str | None = None) -> str:
    """Returns a path of the query, relative to the volume's top.

    Raises:
        HTTPBadRequest: the query has no such parameter.
        UnsafePathError: the path is refused.
    """
    text = parse_query(request.rel_url.raw_query_string).get(name, default)
    if text is None:
        raise refusal(web.HTTPBadRequest, "missing_parameter", f"the query has no {name}; add {name}=/...")
    return volume_path(text)
