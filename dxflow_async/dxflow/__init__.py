"""The documented import name: `from dxflow import Session`, `from dxflow.exceptions import StorageError`."""

from __future__ import annotations

from dxflow_async.blocking.session import Session

from . import exceptions

__all__ = ["Session", "exceptions"]
