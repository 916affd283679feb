"""Running a command: its event loop, its session, its password."""

from __future__ import annotations

import asyncio
import getpass
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

from cyclopts import Parameter

from dxflow_async.blocking.portal import loop_factory
from dxflow_async.config.settings import Settings
from dxflow_async.control.stored_login import StoredLogin
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.session import AsyncSession

__all__ = ["Account", "Flag", "read_password", "read_secret", "run_loop", "with_session"]

T = TypeVar("T")

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Account:
    """The account of a command: that of an e-mail, else the stored login's, else none.

    Attributes:
        email: Sign in with this e-mail. The password is read from the terminal, or from standard input.
        hub: The hub to sign in to.
    """

    email: str | None = None
    hub: str | None = None


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


def with_session(account: Account, call: Callable[[AsyncSession], Awaitable[T]], options: Adjusts | None = None) -> T:
    """Returns the result of `call` with a session of the account."""
    settings = Settings.load()
    session = _new_session(account, settings if options is None else options.applied_to(settings))

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


def _new_session(account: Account, settings: Settings) -> AsyncSession:
    if account.email is not None:
        password = read_password(f"Password of {account.email}: ")
        return AsyncSession(account.email, password, hub=account.hub, settings=settings)
    login = StoredLogin.load(settings.home)
    if login is None:
        return AsyncSession(settings=settings)
    # The secrets belong to that hub, whatever the settings say.
    return AsyncSession(secrets=login.secrets.to_dict(), hub=login.hub, settings=settings)


async def _until_terminated(work: Callable[[], Awaitable[T]]) -> T:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work()
