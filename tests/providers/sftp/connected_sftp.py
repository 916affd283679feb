"""The type of the fixture `connect`."""

from __future__ import annotations

from collections.abc import Callable

from dxflow_async.providers.sftp.provider import SFTPProvider
from dxflow_async.providers.sftp.settings import SFTPSettings

__all__ = ["Connect"]

Connect = Callable[[SFTPSettings], SFTPProvider]
