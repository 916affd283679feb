"""The two ways in: an account of the hub, and the user of this machine."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from aiohttp import web

from dxflow_async.account_connection import SignedIn
from dxflow_async.config.settings import Settings
from dxflow_async.hub_page.account_settings import may_connect_to, unit_check, usable_settings
from dxflow_async.hub_page.locations import AccountScope, MachineScope
from dxflow_async.hub_page.places import account_places, machine_places
from dxflow_async.hub_page.visitors import IDLE_SECONDS
from dxflow_async.hub_page.workspace import Visitor, Workspace
from dxflow_async.server.embedded import EmbeddedHub
from dxflow_async.server.hub.account_routes import PROVIDERS
from dxflow_async.server.hub.accounts import SignIn
from dxflow_async.server.hub.requests import ACCOUNTS, issue_sign_in
from dxflow_async.session import AsyncSession

__all__ = ["AccountDoor", "Door", "MachineDoor"]

_TICKET_SECONDS = 600.0
"""How long the command's first URL works."""


Mode = Literal["hub", "ui"]


class Door(Protocol):
    """A way in.

    Attributes:
        mode: as `page/session` reports it.
        advice: what somebody who is not signed in can do, as the end of a sentence.
        idle: seconds after which an idle visitor ends; None: never.
        cookie_path: the path of the cookie; None: that of `page/`, wherever a proxy has put it.
    """

    mode: Mode
    advice: str
    idle: float | None
    cookie_path: str | None

    async def open(self, app: web.Application) -> None:
        """Called when the application starts."""
        ...

    async def sign_in(self, request: web.Request, tree: Mapping[str, Any]) -> Visitor:
        """Returns the visitor of an e-mail and a password.

        Raises:
            HTTPError: they are wrong.
        """
        ...

    async def redeem(self, ticket: str) -> Visitor | None:
        """Returns the visitor of a ticket, if it is valid. It is valid once."""
        ...

    async def aclose(self) -> None:
        """Called when the application ends, after all visitors have been signed out."""
        ...


class AccountDoor:
    """Accounts of the hub. Each sign-in has a session of its own, in which nothing of this machine can be reached.

    Its settings are made here, from nothing but the account's own: no configuration file, environment or profile of
    this machine is read, and its remotes have credentials of their own or cannot be used. The session speaks to a hub
    inside this process, which has the same database and answers nobody else.

    Args:
        home: the hub's directory. Jobs of an account are kept below it.
        ca_bundle: certificate authorities to trust besides the system's.
        idle: seconds after which a visitor without a request, a job or an upload is signed out.
        local_services: whether accounts may use storage services and units on this machine itself.
    """

    mode: Mode = "hub"
    advice = "sign in"
    cookie_path: str | None = None

    def __init__(
        self,
        home: Path,
        *,
        ca_bundle: Path | None = None,
        idle: float | None = IDLE_SECONDS,
        local_services: bool = False,
    ) -> None:
        self.idle = idle
        self._local_services = local_services
        self._home = home
        self._settings = Settings(home=home, embedded=False, sdk_configuration=False, disk_threads=2)
        if ca_bundle is not None:
            self._settings = replace(self._settings, ca_bundle=ca_bundle)
        self._hub = EmbeddedHub(home)
        self._url: str | None = None
        self._opening = asyncio.Lock()
        self._app: web.Application | None = None

    async def open(self, app: web.Application) -> None:
        self._app = app

    async def sign_in(self, request: web.Request, tree: Mapping[str, Any]) -> Visitor:
        email = tree.get("email")
        fields = {"namespace": "diphyx", **tree, "email": email.strip() if isinstance(email, str) else email}
        issued = await issue_sign_in(request, fields)
        try:
            return await self._visitor(request.app, issued, str(fields["email"]), str(fields["namespace"]))
        except BaseException:
            await request.app[ACCOUNTS].revoke(issued.user_pointer, issued.user_secret)
            raise

    async def redeem(self, ticket: str) -> Visitor | None:
        return None

    async def aclose(self) -> None:
        await self._hub.aclose()

    async def _visitor(self, app: web.Application, issued: SignIn, email: str, namespace: str) -> Visitor:
        accounts, pointer, secret = app[ACCOUNTS], issued.user_pointer, issued.user_secret
        kept = await app[PROVIDERS].all_of(pointer)
        usable, remotes = await asyncio.to_thread(usable_settings, kept, local_services=self._local_services)
        signed_in = SignedIn(
            await self._hub_url(),
            {
                "user": {"pointer": pointer, "secret": secret},
                "namespace": {"pointer": issued.namespace_pointer, "secret": issued.namespace_secret},
            },
            embedded=True,
            headers=dict(self._hub.headers),
            addresses=self._hub.addresses,
            provider_settings=usable,
        )
        home = self._home / "page" / pointer
        await asyncio.to_thread(home.mkdir, mode=0o700, parents=True, exist_ok=True)
        rule = None if self._local_services else may_connect_to
        session = AsyncSession._of_sign_in(replace(self._settings, home=home), signed_in, rule)
        check = unit_check(session._resources.threads, local_services=self._local_services)
        session._resolver.check_unit = check
        scope = AccountScope([name for name, reason in remotes.items() if not reason])

        async def release() -> None:
            await accounts.revoke(pointer, secret)

        async def valid() -> bool:
            return await accounts.user(pointer, secret) is not None

        workspace = Workspace(session, scope, partial(account_places, session, remotes, check), release)
        csrf = secrets.token_urlsafe(32)
        return Visitor(email, namespace, csrf, workspace, account=pointer, valid=valid)

    async def _hub_url(self) -> str:
        async with self._opening:
            if self._url is None:
                self._url = await self._hub.start()
        return self._url


class MachineDoor:
    """The user of this machine, who has the ticket that the command printed.

    Args:
        make: makes the session, in the event loop that serves the page.
    """

    mode: Mode = "ui"
    advice = "open the address that dxflow-async ui printed, or start it again"
    idle: float | None = None
    cookie_path: str | None = "/page"

    def __init__(self, make: Callable[[], AsyncSession]) -> None:
        self._make = make
        self._workspace: Workspace | None = None
        self._email = ""
        self._ticket: tuple[str, float] | None = None

    def new_ticket(self) -> str:
        """Returns a ticket. Those before it end."""
        ticket = secrets.token_urlsafe(32)
        self._ticket = ticket, time.monotonic() + _TICKET_SECONDS
        return ticket

    async def open(self, app: web.Application) -> None:
        session = self._make()
        try:
            await session.sign_in()
        except BaseException:
            await session.aclose()
            raise
        self._workspace = Workspace(session, MachineScope(), partial(machine_places, session))

    async def sign_in(self, request: web.Request, tree: Mapping[str, Any]) -> Visitor:
        raise web.HTTPNotFound

    async def redeem(self, ticket: str) -> Visitor | None:
        known, workspace = self._ticket, self._workspace
        if known is None or workspace is None or time.monotonic() > known[1]:
            return None
        if not hmac.compare_digest(known[0].encode(), ticket.encode("utf-8", "surrogateescape")):
            return None
        self._ticket = None
        email = workspace.session._account.email or ""
        return Visitor(email, "", secrets.token_urlsafe(32), workspace, owns=False)

    async def aclose(self) -> None:
        if self._workspace is not None:
            await self._workspace.aclose()
