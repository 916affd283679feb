"""The commands `hub serve` and `hub user ...`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from cyclopts import App

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.json_lines import print_json, say
from dxflow_async.cli.run import Flag, Texts, read_password, run_loop
from dxflow_async.cli.serving import serve_until_told
from dxflow_async.config.settings import Settings
from dxflow_async.hub_page.doors import AccountDoor
from dxflow_async.hub_page.page import mount_page
from dxflow_async.security.redaction import printable
from dxflow_async.server.common.addresses import is_loopback
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.accounts import Accounts, Credentials
from dxflow_async.server.hub.app import create_app
from dxflow_async.server.hub.database import Store
from dxflow_async.server.hub.sign_ins import SignInLimits

__all__ = ["hub"]

T = TypeVar("T")

hub = App(name="hub", help="Run a hub of your own, and manage its accounts.", result_action="return_value")
user = App(name="user", help="Manage the accounts of a hub.", result_action="return_value")
hub.command(user)


@hub.command
def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8780,
    data: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    insecure_http: Flag = False,
    sign_up: Flag = False,
    allow_host: Texts = (),
    trusted_proxy: Texts = (),
    sign_in_idle_days: float = 30,
    sign_in_max_days: float = 365,
    no_page: Flag = False,
    allow_local_services: Flag = False,
    json: Flag = False,
) -> int:
    """Run a hub, with its page for browsers, until SIGTERM or Ctrl-C. Running requests then have 30 s to end.

    Args:
        host: The address to listen on. An address that other machines reach needs TLS, or --insecure-http.
        port: The port; 0 takes a free one.
        data: The directory of the database; by default hub in DXFLOW_HOME.
        tls_cert: A PEM file with the certificate.
        tls_key: A PEM file with its key.
        insecure_http: Allow an address that other machines reach without TLS.
        sign_up: Create an account at the first sign-in of an e-mail.
        allow_host: A host name that requests may use, besides the hub's own address; may be given several times.
            Behind a proxy on this machine: the name that the proxy passes on.
        trusted_proxy: The address or the network of a proxy in front of the hub, whose X-Forwarded-For names the
            client, and X-Forwarded-Proto whether it uses https; may be given several times. Without it all requests
            through a proxy count as one client's.
        sign_in_idle_days: Days after which an unused sign-in ends.
        sign_in_max_days: Days after which every sign-in ends.
        no_page: Serve programs only, and no page for browsers.
        allow_local_services: Let accounts use, through the page, storage services and units on this machine itself.
            A hub that only this machine reaches allows it anyway.
        json: Print a JSON object when it listens.
    """
    listening = Listening(
        host=host,
        port=port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure_http=insecure_http,
        allow_hosts=allow_host,
        trusted_proxies=trusted_proxy,
    )
    home = _home(data)
    limits = SignInLimits(idle=sign_in_idle_days * 86_400, age=sign_in_max_days * 86_400)
    page = None
    if not no_page:
        local_services = allow_local_services or (is_loopback(host) and not allow_host)
        ca_bundle = Settings.load().ca_bundle
        page = mount_page(AccountDoor(home, ca_bundle=ca_bundle, local_services=local_services))
    server = Server(create_app(home, sign_up=sign_up, limits=limits, page=page), listening)
    return serve_until_told(server, f"hub at {{url}}; its data is in {printable(str(home))}", json=json)


@user.command
def add(email: str, *, data: Path | None = None, json: Flag = False) -> int:
    """Create an account.

    Args:
        email: The account. Its password is read from the terminal, or from the first line of standard input.
        data: The hub's directory.
        json: Print a JSON object.
    """
    given = Credentials(email, read_password(f"Password of {email}: "), "diphyx")
    _administer(data, lambda accounts: accounts.create(given))
    say(f"made the account {printable(email)}", json=json)
    return 0


@user.command
def password(email: str, *, data: Path | None = None, json: Flag = False) -> int:
    """Change the password of an account. Everyone who is signed in to it must sign in again.

    Args:
        email: The account. Its new password is read from the terminal, or from the first line of standard input.
        data: The hub's directory.
        json: Print a JSON object.
    """
    given = Credentials(email, read_password(f"New password of {email}: "), "diphyx")
    _administer(data, lambda accounts: accounts.change_password(given))
    say(f"changed the password of {printable(email)}", json=json)
    return 0


@user.command
def disable(email: str, *, data: Path | None = None, json: Flag = False) -> int:
    """Disable an account: end its sign-ins, and refuse new ones.

    Args:
        email: The account.
        data: The hub's directory.
        json: Print a JSON object.
    """
    _administer(data, lambda accounts: accounts.disable(email))
    say(f"disabled {printable(email)}", json=json)
    return 0


@user.command
def enable(email: str, *, data: Path | None = None, json: Flag = False) -> int:
    """Enable a disabled account again.

    Args:
        email: The account.
        data: The hub's directory.
        json: Print a JSON object.
    """
    _administer(data, lambda accounts: accounts.enable(email))
    say(f"enabled {printable(email)}", json=json)
    return 0


@user.command(name="list")
def list_users(*, data: Path | None = None, json: Flag = False) -> int:
    """List the accounts.

    Args:
        data: The hub's directory.
        json: Print a JSON object.
    """
    for each in _administer(data, lambda accounts: accounts.accounts()):
        if json:
            print_json("user", {"email": each.email, "disabled": each.disabled})
        else:
            write_line(f"{'disabled' if each.disabled else 'active':8} {printable(each.email)}")
    return 0


def _administer(data: Path | None, call: Callable[[Accounts], Awaitable[T]]) -> T:
    home = _home(data)

    async def work() -> T:
        store = await Store.open(home)
        try:
            return await call(Accounts(store))
        finally:
            await store.aclose()

    return run_loop(work)


def _home(data: Path | None) -> Path:
    return data or Settings.load().home / "hub"
