"""The commands `login`, `logout` and `whoami`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from dxflow_async.blocking.tables import write_text
from dxflow_async.cli.json_lines import print_json, say
from dxflow_async.cli.run import Flag, read_password, run_loop
from dxflow_async.config.settings import Settings
from dxflow_async.control.stored_login import Secrets, StoredLogin
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession

__all__ = ["login", "logout", "whoami"]


def login(email: str, *, hub: str | None = None, namespace: str = "diphyx", json: Flag = False) -> int:
    """Sign in to a hub, and store the login for later commands and sessions.

    Args:
        email: The account. Its password is read from the terminal, or from the first line of standard input.
        hub: The hub's URL; by default the setting (DXFLOW_HUB).
        namespace: The namespace to work in.
        json: Print a JSON object.
    """
    settings = Settings.load()
    url = hub or settings.hub
    if url is None:
        raise ConfigurationError("no hub to sign in to: give one with --hub, or set hub (DXFLOW_HUB)")
    password = read_password(f"Password of {email}: ")
    session = AsyncSession(email, password, namespace=namespace, hub=url, settings=settings)
    secrets = Secrets.from_dict(run_loop(partial(_secrets, session)))
    StoredLogin(url, secrets).save(settings.home)
    say(f"signed in to {printable(url)} as {printable(email)}", json=json)
    return 0


def logout(*, json: Flag = False) -> int:
    """Delete the stored login.

    Args:
        json: Print a JSON object.
    """
    StoredLogin.forget(Settings.load().home)
    say("signed out: there is no stored login", json=json)
    return 0


def whoami(*, json: Flag = False) -> int:
    """Print the account that commands use. No request is made.

    Args:
        json: Print a JSON object.
    """
    settings = Settings.load()
    login = StoredLogin.load(settings.home)
    if json:
        pointer = login.secrets.user_pointer if login is not None else None
        print_json("account", {"hub": login.hub if login is not None else None, "user": pointer})
    elif login is None:
        write_text("no account: commands work directly with the clouds; dxflow-async login signs in to a hub")
    else:
        write_text(f"signed in to {printable(login.hub)} as user {printable(login.secrets.user_pointer)}")
    return 0


async def _secrets(session: AsyncSession) -> Mapping[str, Any]:
    async with aclosing(session):
        await session.sign_in()
        return session.secrets or {}
