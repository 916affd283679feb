"""Functions that processes of pools call. Their module imports nothing that processes would have to wait for."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

from dxflow_async.transfer.executor.sealed import Sealed

__all__ = ["import_providers", "read_from", "sleep"]


def import_providers() -> None:
    """Imports what a worker needs for its first shard."""
    for name in ("storage.shard_worker", "providers.aws.provider", "providers.local.provider"):
        importlib.import_module(f"dxflow_async.{name}")


def read_from(fifo: str) -> bytes:
    """What a process of the user's does that waits for something."""
    return Path(fifo).read_bytes()


def sleep(_version: str, shard: Sealed, _setup: Sealed | None) -> None:
    """A shard that does not end by itself. It makes a file, which tells that it has begun."""
    begun, _ = shard.opened()
    Path(begun).touch()
    time.sleep(600)
