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
from dxflow_async.config.settings import S3Settings, Settings
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
        anonymous: Send unsigned requests to the one S3 remote in the command, as for public buckets.
    """

    email: str | None = None
    hub: str | None = None
    direct: Flag = False
    profile: str | None = None
    endpoint: str | None = None
    anonymous: Flag = False


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
    """Returns the settings with `--profile`, `--endpoint` and `--anonymous` set for the one S3 remote in a command.

    Raises:
        ConfigurationError: there is no such remote, or there are two; or a value is invalid.
    """
    given: dict[str, Any] = {
        name: getattr(account, name) for name in ("profile", "endpoint", "anonymous") if getattr(account, name)
    }
    if not given:
        return settings
    options = " and ".join(f"--{name}" for name in given)
    found = sorted({name for place in places if (name := _s3_remote(place, settings)) is not None})
    if not found:
        raise ConfigurationError(f"{options}: there is no S3 remote in the command; write aws:/bucket/key")
    if len(found) > 1:
        raise ConfigurationError(
            f"{options}: it is not clear for which remote, {' or '.join(found)}; give each its settings with "
            "dxflow-async remotes add NAME --type s3, and use their names"
        )
    (name,) = found
    own = settings.aws if name == "aws" else settings.remotes[name]
    if "profile" in given or "anonymous" in given:  # they take the place of keys
        given |= dict.fromkeys(("access_key", "secret_key", "session_token", "credentials"))
    changed = replace(own, **given)
    if name == "aws":
        return replace(settings, aws=changed)
    return replace(settings, remotes={**settings.remotes, name: changed})


def _s3_remote(place: str, settings: Settings) -> str | None:
    """Returns the name of the S3 remote that a location is at; None if it is somewhere else."""
    scheme = place.partition(":")[0].lower() if ":" in place else ""
    if scheme in ("aws", "s3"):
        return "aws"
    own = settings.remotes.get(scheme)
    return scheme if isinstance(own, S3Settings) else None


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
