"""The places of the tree: remotes, compute units and this machine's disks."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dxflow_async.config.kinds import UnusableSettings
from dxflow_async.config.sdk_configuration import configured_by
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import ConfigurationError, DxflowError
from dxflow_async.hub_page.locations import encode_location
from dxflow_async.hub_page.workspace import Place
from dxflow_async.models import Unit
from dxflow_async.providers import registry
from dxflow_async.session import AsyncSession

__all__ = ["BUILT_IN_TYPES", "account_places", "machine_places", "unit_places"]

BUILT_IN_TYPES = {"aws": "s3", "azure": "azure", "gcp": "gcs"}
"""The remotes that are always there, and their types."""

_WORKING = ("READY", "UNKNOWN")
"""The states of units whose storage may answer; that of an engine is not asked."""

_TERMINATED = "TERMINATED"


CheckUnit = Callable[[Unit], Awaitable[None]]


async def unit_places(session: AsyncSession, check: CheckUnit | None = None) -> list[Place]:
    """Returns the session's compute units; `check` raises an error for those that cannot be used."""
    try:
        units = await session.get_compute_manager().list(return_info=True)
    except ConfigurationError:
        return []  # no account, and the settings name no engine
    except DxflowError as error:
        return [Place("Units", "unit:/", "unit", "unit", "unreachable", str(error))]
    found = []
    for each in units:
        if each.status == _TERMINATED:
            continue
        state, note = _unit_state(each.status)
        if check is not None:
            try:
                await check(each)
            except DxflowError as error:
                state, note = "unusable", str(error)
        found.append(Place(each.name, f"unit:/{each.name}/", "unit", "unit", state, note))
    return found


async def account_places(session: AsyncSession, remotes: Mapping[str, str], check: CheckUnit) -> list[Place]:
    """Returns the places of an account at the hub.

    Args:
        session: the account's session.
        remotes: the account's remotes, and why each cannot be used; empty where it can.
        check: raises an error for units that cannot be used.
    """
    places = [
        Place(name, f"{name}:/", "remote", BUILT_IN_TYPES[name], "unusable" if reason else "ok", reason)
        for name, reason in remotes.items()
    ]
    return [*places, *await unit_places(session, check)]


async def machine_places(session: AsyncSession) -> Sequence[Place]:
    """Returns the places of this machine's user."""
    remotes = await session._resources.threads.run(_remotes, session.settings, session._account.exists)
    return [*_disks(), *remotes, *await unit_places(session)]


def _disks() -> list[Place]:
    home = Path.home()
    start = encode_location(f"local:{os.fspath(home).rstrip('/')}/")
    return [Place("Home", start, "local", "local"), Place("This computer", "local:/", "local", "local")]


def _remotes(settings: Settings, has_account: bool) -> list[Place]:
    """Returns the remotes of the settings. Blocks: the SDKs' configuration files are looked at."""
    found = []
    for name, kind in BUILT_IN_TYPES.items():
        own = getattr(settings, name)
        try:
            source = None if own.configured else configured_by(own)
        except ConfigurationError as error:
            found.append(Place(name, f"{name}:/", "remote", kind, "unusable", str(error)))
            continue
        note = "" if source is None else f"configured by {source}"
        if not own.configured and source is None:
            note = (
                "not configured; a directory of this machine takes its place"
                if has_account
                else f"not configured; set it up with dxflow-async config set {name}.…"
            )
            found.append(Place(name, f"{name}:/", "remote", kind, "ok" if has_account else "unconfigured", note))
            continue
        found.append(Place(name, f"{name}:/", "remote", kind, note=note))
    return [*found, *(_remote(name, settings.remotes[name]) for name in sorted(settings.remotes))]


def _remote(name: str, settings: Any) -> Place:
    if isinstance(settings, UnusableSettings):
        return Place(name, f"{name}:/", "remote", "", "unusable", settings.reason)
    try:
        return Place(name, f"{name}:/", "remote", registry.kind_of_settings(settings).kind)
    except DxflowError as error:
        return Place(name, f"{name}:/", "remote", "", "unusable", str(error))


def _unit_state(status: str) -> tuple[str, str]:
    return ("ok", "") if status in _WORKING else (status.lower(), f"the unit is {status.lower()}")
