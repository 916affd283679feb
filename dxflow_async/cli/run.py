"""Running a command: its event loop, its session, its password."""

from __future__ import annotations

import asyncio
import getpass
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Protocol, TypeVar

from cyclopts import Parameter

from dxflow_async.blocking.portal import loop_factory
from dxflow_async.blocking.progress import end_at_once
from dxflow_async.cli.status import INTERRUPTED
from dxflow_async.config.clouds import AzureSettings, CloudSettings, GCSSettings, S3Settings
from dxflow_async.config.connection_string import parse_connection_string
from dxflow_async.config.settings import Settings
from dxflow_async.control.stored_login import StoredLogin
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.session import AsyncSession

__all__ = [
    "Account",
    "Flag",
    "Texts",
    "new_session",
    "read_password",
    "read_secret",
    "run_loop",
    "with_account_flags",
    "with_session",
]

T = TypeVar("T")

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]

Texts = Annotated[tuple[str, ...], Parameter(consume_multiple=False, negative=(), show_default=False)]
"""An option that may be given several times."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Account:
    """The account of a command: that of an e-mail, else the stored login's, else none.

    Attributes:
        email: Sign in with this e-mail. The password is read from the terminal, or from standard input.
        hub: The hub to sign in to.
        direct: Use no account: work directly with the clouds.
        profile: The profile of the one S3 remote in the command.
        endpoint: The endpoint of the one S3 remote in the command, such as https://minio.example.org.
        anonymous: Send no credentials to the one cloud in the command, as for public buckets and containers.
        requester_pays: Agree to pay for requests to the one S3 remote in the command.
        user_project: The project that pays for requests to the one Google remote in the command.
    """

    email: str | None = None
    hub: str | None = None
    direct: Flag = False
    profile: str | None = None
    endpoint: str | None = None
    anonymous: Flag = False
    requester_pays: Flag = False
    user_project: str | None = None


_CLOUDS: dict[str, type[CloudSettings]] = {"aws": S3Settings, "azure": AzureSettings, "gcp": GCSSettings}

_SCHEMES = {"s3": "aws", "az": "azure", "gs": "gcp"}

_FLAGS: dict[str, tuple[str, ...]] = {
    "profile": ("aws",),
    "endpoint": ("aws",),
    "anonymous": ("aws", "azure", "gcp"),
    "requester_pays": ("aws",),
    "user_project": ("gcp",),
}
"""The clouds that an option of one remote is for."""

_NAMES = {"aws": "S3", "azure": "Azure", "gcp": "Google"}

_TYPES = {"aws": "s3", "azure": "azure", "gcp": "gcs"}

_CREDENTIALS = {
    "aws": ("access_key", "secret_key", "session_token", "profile", "credentials"),
    "azure": ("connection_string", "account_key", "sas_token", "credentials"),
    "gcp": ("service_file", "credentials"),
}
"""The settings whose place `--profile` and `--anonymous` take."""


def run_loop(work: Callable[[], Awaitable[T]]) -> T:
    """Returns the result of `await work()` in an event loop of its own.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, and `work` has cleaned up.
        CancelledError: SIGTERM was received, and `work` has cleaned up.
    """
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_until_terminated(work))


class Adjusts(Protocol):
    """Options that change settings."""

    def applied_to(self, settings: Settings) -> Settings:
        """Returns the settings with these options."""
        ...


def with_session(
    account: Account,
    call: Callable[[AsyncSession], Awaitable[T]],
    options: Adjusts | None = None,
    *,
    places: Sequence[str] = (),
) -> T:
    """Returns the result of `call` with a session of the account.

    Args:
        account: the account.
        call: what to do with the session.
        options: options that change settings.
        places: the locations in the command, of which `--endpoint` and the like mean the one S3 remote.
    """
    settings = Settings.load()
    settings = settings if options is None else options.applied_to(settings)
    session = new_session(account, with_account_flags(settings, account, places))()

    async def work() -> T:
        async with aclosing(session):
            return await call(session)

    return run_loop(work)


def read_password(prompt: str) -> str:
    """Reads a password from the terminal, or from the next line of standard input if that is not a terminal.

    Raises:
        ConfigurationError: there is no such line.
    """
    return read_secret(prompt, "password")


def read_secret(prompt: str, name: str) -> str:
    """Reads a secret from the terminal without echo, or from the next line of standard input if that is not a terminal.

    Args:
        prompt: the text to print at a terminal.
        name: the name of the secret, for the error.

    Raises:
        ConfigurationError: there is no such line.
    """
    if sys.stdin is not None and sys.stdin.isatty():
        return getpass.getpass(prompt)
    secret = sys.stdin.readline().rstrip("\r\n") if sys.stdin is not None else ""
    if not secret:
        raise ConfigurationError(f"no {name} was given: type it at a terminal, or pipe it in as one line")
    return secret


def with_account_flags(settings: Settings, account: Account, places: Sequence[str]) -> Settings:
    """Returns the settings with the options of one remote set for the one in a command that they are for.

    Raises:
        ConfigurationError: there is no such remote, or there are two; or a value is invalid.
    """
    given: dict[str, Any] = {name: getattr(account, name) for name in _FLAGS if getattr(account, name)}
    if not given:
        return settings
    options = " and ".join(f"--{name.replace('_', '-')}" for name in given)
    clouds = [cloud for cloud in _CLOUDS if all(cloud in _FLAGS[name] for name in given)]
    found = sorted({name for place in places if (name := _remote(place, settings, clouds)) is not None})
    if not found:
        kinds = " or ".join(_NAMES[cloud] for cloud in clouds)
        missing = (
            f"there is no {kinds} remote in the command; write {clouds[0]}:/bucket/key"
            if clouds
            else ("they are for different clouds; leave one out")
        )
        raise ConfigurationError(f"{options}: {missing}")
    if len(found) > 1:
        kind = _TYPES[clouds[0]] if len(clouds) == 1 else "TYPE"
        raise ConfigurationError(
            f"{options}: it is not clear for which remote, {' or '.join(found)}; give each its settings with "
            f"dxflow-async remotes add NAME --type {kind}, and use their names"
        )
    (name,) = found
    own = _own_settings(name, settings)
    assert own is not None
    cloud = next(cloud for cloud in clouds if isinstance(own, _CLOUDS[cloud]))
    if "profile" in given or "anonymous" in given:
        given = _without_credentials(cloud, own) | given
    changed = replace(own, **given)
    if name in _CLOUDS:
        return replace(settings, **{name: changed})
    return replace(settings, remotes={**settings.remotes, name: changed})


def _remote(place: str, settings: Settings, clouds: Sequence[str]) -> str | None:
    """Returns the name of the remote that a location is at; None if it is not in one of the clouds."""
    scheme = place.partition(":")[0].lower() if ":" in place else ""
    name = _SCHEMES.get(scheme, scheme)
    own = _own_settings(name, settings)
    return name if isinstance(own, tuple(_CLOUDS[cloud] for cloud in clouds)) else None


def _own_settings(name: str, settings: Settings) -> Any:
    """Returns the settings of a remote; None if there is none of that name."""
    return getattr(settings, name) if name in _CLOUDS else settings.remotes.get(name)


def _without_credentials(cloud: str, own: Any) -> dict[str, Any]:
    """Returns what to change so that settings have no credentials, and still name the account."""
    named: dict[str, Any] = {}
    if isinstance(own, AzureSettings) and own.connection_string is not None:
        named = parse_connection_string(own.connection_string)
    return named | dict.fromkeys(_CREDENTIALS[cloud])


def new_session(account: Account, settings: Settings) -> Callable[[], AsyncSession]:
    """Returns what makes the session of an account. Whatever has to be asked for is asked for now.

    Raises:
        ConfigurationError: the options contradict each other.
    """
    if account.direct and (account.email is not None or account.hub is not None):
        raise ConfigurationError("--direct uses no account; leave out --email and --hub")
    if account.direct:
        return partial(AsyncSession, settings=replace(settings, hub=None))
    if account.email is not None:
        password = read_password(f"Password of {account.email}: ")
        return partial(AsyncSession, account.email, password, hub=account.hub, settings=settings)
    login = StoredLogin.load(settings.home)
    if login is None:
        return partial(AsyncSession, settings=settings)
    # The secrets belong to that hub, whatever the settings say.
    return partial(AsyncSession, secrets=login.secrets.to_dict(), hub=login.hub, settings=settings)


async def _until_terminated(work: Callable[[], Awaitable[T]]) -> T:
    """Awaits `work()`. The first Ctrl-C cancels it, and the second one ends the process at once."""
    task, loop, pressed = asyncio.current_task(), asyncio.get_running_loop(), False
    assert task is not None

    def interrupt(*_: object) -> None:
        nonlocal pressed
        if pressed:
            end_at_once(INTERRUPTED)
        pressed = True
        loop.call_soon_threadsafe(task.cancel)

    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupt) if in_main else None
    try:
        return await work()
    except asyncio.CancelledError:
        if pressed:
            raise KeyboardInterrupt from None
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
