"""Closing a session: in its own event loop, from another one, or after its loop has ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from dxflow_async.concurrency.shielded import clean_up

if TYPE_CHECKING:
    from dxflow_async.storage.resolver import LocationResolver
    from dxflow_async.transfer.resources import Resources

__all__ = ["close_session"]

_STEP_SECONDS = 5.0
"""How long each step may take of closing a session whose event loop has ended."""

_CLOSE_SECONDS = 10.0
"""How long closing a session may go on after it was cancelled."""


async def close_session(resources: Resources, resolver: LocationResolver) -> None:
    """Closes a session once; in a process forked from the session's own it does nothing.

    Args:
        resources: the session's resources, which are closed last.
        resolver: the session's areas and its account.
    """
    owner = resources.owner
    if resources.closed or owner.forked:
        return
    resources.closed = True

    async def close() -> None:
        try:
            await resolver.account.sign_out()
        finally:
            await clean_up(_close_all(resources, resolver), _CLOSE_SECONDS, after_cancellation=True)

    if not owner.elsewhere:
        await close()
    elif not await owner.run_at_home(close):
        await _close_without_loop(resources, resolver)


async def _close_all(resources: Resources, resolver: LocationResolver) -> None:
    try:
        await resolver.aclose()
    finally:
        try:
            await resources.aclose()
        finally:
            await resolver.account.aclose()


async def _close_without_loop(resources: Resources, resolver: LocationResolver) -> None:
    # Part of this cannot work without the loop that everything belongs to, and there is nobody to tell.
    account = resolver.account
    steps = [resolver.aclose, account.aclose]
    if not account.embedded:
        steps.insert(0, account.sign_out)
    for step in steps:
        with suppress(Exception):
            async with asyncio.timeout(_STEP_SECONDS):
                await step()
    resources.abandon()
