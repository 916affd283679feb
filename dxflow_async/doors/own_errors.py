"""The error of the one item of a transfer, which other libraries expect instead of that of the transfer."""

from __future__ import annotations

from collections.abc import Awaitable

from dxflow_async.exceptions import TransferError
from dxflow_async.models import TransferReport

__all__ = ["raise_own_error"]


async def raise_own_error(transfer: Awaitable[TransferReport]) -> None:
    """Awaits the transfer of one item, and raises its own error: callers expect `FileNotFoundError`."""
    try:
        await transfer
    except TransferError as error:
        failed = error.report.failed
        raise (failed[0].error or error if failed else error) from None
