"""`providers ...`: the settings that an account has at its hub, for all machines that sign in to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
from cyclopts import App

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.run import Account, with_session
from dxflow_async.cli.status import FAILED, complain
from dxflow_async.config.loader import fields_of
from dxflow_async.config.settings import Settings
from dxflow_async.control.account import Secrets, forget_provider, keep_provider, provider_settings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.paths import provider_name
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession

__all__ = ["providers"]

T = TypeVar("T")

_DIRECT = Account()

providers = App(
    name="providers", help="What the account has at its hub for each provider.", result_action="return_value"
)


@providers.command(name="list")
def list_providers(*, account: Account = _DIRECT) -> int:
    """List the providers that the account has settings of, and which are set; no values."""
    for name, settings in sorted(_at_hub(account, provider_settings).items()):
        write_line(f"{printable(name):6} {printable(', '.join(sorted(settings)))}")
    return 0


@providers.command
def keep(provider: str, *, account: Account = _DIRECT) -> int:
    """Keep this machine's settings of a provider, credentials among them, with the account at its hub.

    Sessions of the account use them on every machine that has no settings of that provider itself.

    Args:
        provider: AWS, AZURE or GCP.
    """
    name = provider_name(provider)
    own = getattr(Settings.load(), name.lower())
    if not own.configured:
        raise ConfigurationError(f"this machine has no settings of {name} to keep; set {name.lower()}.endpoint or more")
    given = {each.name: getattr(own, each.name) for each in fields_of(type(own))}
    tree = {key: _plain(value) for key, value in given.items() if value is not None}

    async def store(http: aiohttp.ClientSession, hub: str, secrets: Secrets) -> None:
        await keep_provider(http, hub, secrets, name, tree)

    _at_hub(account, store)
    write_line(f"kept for {name}: {', '.join(sorted(tree))}")
    return 0


@providers.command
def forget(provider: str, *, account: Account = _DIRECT) -> int:
    """Forget what the account has for a provider.

    Args:
        provider: AWS, AZURE or GCP.
    """
    name = provider_name(provider)

    async def remove(http: aiohttp.ClientSession, hub: str, secrets: Secrets) -> bool:
        return await forget_provider(http, hub, secrets, name)

    if not _at_hub(account, remove):
        complain(f"the account has nothing for {name}")
        return FAILED
    write_line(f"forgot what there was for {name}")
    return 0


def _at_hub(account: Account, call: Callable[[aiohttp.ClientSession, str, Secrets], Awaitable[T]]) -> T:
    async def work(session: AsyncSession) -> T:
        return await session._at_hub(call)

    return with_session(account, work)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool) else str(value)
