"""The connection to an account: sign-in, the hub that keeps the account, and what that hub knows.

Everything that only an account needs (aiohttp, the hub's client, the embedded hub) is imported when there is one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from anyio import Lock

from dxflow_async.config.account_settings import with_account
from dxflow_async.config.loader import fields_of
from dxflow_async.config.texts import trim, trim_line_ends
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.paths import provider_name
from dxflow_async.security.redaction import Secret, redacted
from dxflow_async.transfer.resources import Resources

if TYPE_CHECKING:
    import aiohttp

    from dxflow_async.config.settings import Settings
    from dxflow_async.control.stored_login import Secrets
    from dxflow_async.control.units import UnitHub
    from dxflow_async.server.embedded import EmbeddedHub

__all__ = ["AccountConnection", "SignedIn"]

_log = logging.getLogger("dxflow_async.session")

_HUB_SETTINGS = "settings at a hub belong"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in that another process of the user's can share. It has secrets, so no repr shows it.

    Attributes:
        hub: the hub's URL.
        secrets: the secrets of the sign-in.
        embedded: whether the hub is inside the process that signed in.
        headers: what requests to the hub must have.
        addresses: the addresses and ports of an embedded hub's servers, which no proxy can reach.
        provider_settings: the settings that the hub keeps of providers.
    """

    hub: str
    secrets: Mapping[str, Any] = field(repr=False)
    embedded: bool
    headers: Mapping[str, str] | None = field(repr=False)
    addresses: Sequence[tuple[str, int]]
    provider_settings: Mapping[str, dict[str, Any]] = field(repr=False)


class AccountConnection:
    """One account at one hub, or no account at all.

    Signing in happens on first use. Without an account `sign_in` does nothing, and calls that need a hub raise
    `ConfigurationError`.

    Args:
        resources: the session's resources.
        email: the account's e-mail. The embedded hub creates the account at its first sign-in.
        password: its password; required with `email`.
        namespace: the account's namespace to work in.
        secrets: the secrets that an earlier sign-in returned, instead of `email` and `password`.
        hub: the hub's URL. By default the setting, else the stored login's hub, else a hub inside this process.

    Raises:
        ConfigurationError: the arguments contradict each other.
    """

    def __init__(
        self,
        resources: Resources,
        email: str | None = None,
        password: str | None = None,
        *,
        namespace: str = "diphyx",
        secrets: Mapping[str, Any] | None = None,
        hub: str | None = None,
    ) -> None:
        email = None if email is None else trim(email)
        password = None if password is None else trim_line_ends(Secret(password))
        if (email is None) != (password is None):
            raise ConfigurationError("email and password go together: give both or neither")
        if email is not None and secrets is not None:
            raise ConfigurationError("give email and password, or secrets, not both")
        self._resources = resources
        self._email = email
        self._password = password
        self._namespace = namespace
        self._secrets = None if secrets is None else _parse_secrets(secrets)
        self._hub = hub or resources.settings.hub
        self._embedded: EmbeddedHub | None = None
        self._provider_settings: dict[str, dict[str, Any]] = {}
        self._exists = email is not None or secrets is not None
        self._signed_in = False
        self._signing_in = Lock()
        # The session ends a sign-in of its own when it closes, unless somebody asked for the secrets.
        self._ends_sign_in = False
        self._shared: SignedIn | None = None

    @classmethod
    def of_sign_in(cls, resources: Resources, shared: SignedIn) -> Self:
        """Returns the connection to an account that another process has signed in to. It never ends the sign-in."""
        account = cls(resources, secrets=shared.secrets, hub=shared.hub)
        account._shared = shared
        account._provider_settings = dict(shared.provider_settings)
        account._signed_in = True
        for host, port in shared.addresses:
            resources.proxies.exempt(host, port)
        return account

    def signed_in(self) -> SignedIn | None:
        """Returns the sign-in for processes of the same user; None before it, and without an account."""
        if self._secrets is None or self._hub is None or not self._signed_in:
            return None
        embedded = self._embedded
        return SignedIn(
            self._hub,
            self._secrets.to_dict(),
            embedded is not None,
            None if embedded is None else dict(embedded.headers),
            () if embedded is None else embedded.addresses,
            self._provider_settings,
        )

    @property
    def name(self) -> str | None:
        """The hub that the account is at, for job files; None without an account and before the sign-in."""
        if not (self._exists and self._signed_in):
            return None
        return "the embedded hub" if self.embedded else self._hub

    @property
    def email(self) -> str | None:
        """The e-mail that the session was given."""
        return self._email

    @property
    def exists(self) -> bool:
        """Whether there is an account, signed in or not."""
        return self._exists

    @property
    def embedded(self) -> bool:
        """Whether the account is at the hub inside this process, or inside the one that shares its sign-in."""
        return self._embedded is not None or (self._shared is not None and self._shared.embedded)

    def share_secrets(self) -> dict[str, Any] | None:
        """Returns the secrets of the sign-in, which then outlives the session; None before the sign-in."""
        self._ends_sign_in = False
        return None if self._secrets is None else self._secrets.to_dict()

    def require(self, purpose: str) -> None:
        """Checks that there is an account.

        Args:
            purpose: what belongs to an account, as the beginning of the error message.

        Raises:
            ConfigurationError: the session has no account.
        """
        if not self._exists:
            raise ConfigurationError(
                f"{purpose} to an account, and this session has none: sign in, with email and password or "
                "with secrets (in the shell: dxflow-async login, or --email)"
            )

    async def sign_in(self) -> None:
        """Signs in, unless that is done; does nothing without an account.

        Raises:
            AuthenticationError: the hub refused the credentials, or there were too many attempts.
            NetworkError: the hub cannot be reached.
            SessionClosedError: the session was closed.
        """
        self._resources.check_open()
        if not self._exists:
            return
        async with self._signing_in:
            if not self._signed_in:
                await self._sign_in()
                self._signed_in = True

    async def unit_hub(self) -> UnitHub:
        """Returns the part of the hub that knows the account's compute units."""
        from dxflow_async.control.units import UnitHub

        secrets, hub = await self._signed_in_at("compute units belong")
        return UnitHub(hub, secrets.user_pointer, secrets.user_secret, self._connect)

    def apply_provider_settings(self, settings: Settings, provider: str) -> Settings:
        """Returns the settings with those that the hub keeps of a provider, unless this machine configures it.

        Args:
            settings: this machine's settings.
            provider: `"AWS"`, `"AZURE"` or `"GCP"`.
        """
        given = self._provider_settings.get(provider)
        return with_account(settings, provider, given) if given else settings

    async def provider_settings(self) -> dict[str, dict[str, Any]]:
        """Fetches the settings of providers that the hub keeps, by the provider's name."""
        from dxflow_async.control.account import provider_settings

        secrets, hub = await self._signed_in_at(_HUB_SETTINGS)
        async with await self._connect() as http:
            return await provider_settings(http, hub, secrets)

    async def keep_provider_settings(self, provider: str) -> list[str]:
        """Stores this machine's settings of a provider at the hub; see `AsyncSession.keep_provider_settings`."""
        from dxflow_async.control.account import keep_provider

        provider = provider_name(provider)
        own = getattr(self._resources.settings, provider.lower())
        if not own.configured:
            raise ConfigurationError(
                f"this machine has no settings of {provider} to keep; set {provider.lower()}.endpoint or more"
            )
        if own.credentials is not None:
            raise ConfigurationError(f"{provider}.credentials is a function of this program, which a hub cannot keep")
        values = {each.name: getattr(own, each.name) for each in fields_of(type(own))}
        tree = {
            name: value if isinstance(value, bool) else str(value)
            for name, value in values.items()
            if value is not None
        }
        secrets, hub = await self._signed_in_at(_HUB_SETTINGS)
        async with await self._connect() as http:
            await keep_provider(http, hub, secrets, provider, tree)
        return sorted(tree)

    async def forget_provider_settings(self, provider: str) -> bool:
        """Deletes the settings of a provider at the hub; see `AsyncSession.forget_provider_settings`."""
        from dxflow_async.control.account import forget_provider

        name = provider_name(provider)
        secrets, hub = await self._signed_in_at(_HUB_SETTINGS)
        async with await self._connect() as http:
            return await forget_provider(http, hub, secrets, name)

    async def sign_out(self) -> None:
        """Ends the session's own sign-in, unless its secrets were shared; an unreachable hub is no error."""
        if self._ends_sign_in and self._secrets is not None and self._hub is not None:
            from dxflow_async.control.account import end_sign_in

            await end_sign_in(self._open_connection, self._hub, self._secrets)

    async def aclose(self) -> None:
        """Stops the embedded hub, where one was started."""
        if self._embedded is not None:
            await self._embedded.aclose()

    async def _sign_in(self) -> None:
        from dxflow_async.control.account import provider_settings, sign_in, verify

        hub = await self._hub_url()
        async with await self._connect() as http:
            if self._secrets is not None:
                await verify(http, hub, self._secrets)
            else:
                assert self._email is not None
                assert self._password is not None
                self._secrets, created = await sign_in(http, hub, self._email, self._password, self._namespace)
                self._ends_sign_in = True
                if created:
                    _log.warning("the account %s was created at %s", self._email, redacted(hub))
            self._provider_settings = await provider_settings(http, hub, self._secrets)
        if self._embedded is not None:
            await self._embedded.serve_demo(self._secrets.user_pointer)
            self._reach_embedded_directly(self._embedded)

    async def _signed_in_at(self, purpose: str) -> tuple[Secrets, str]:
        """Signs in, and returns the secrets and the hub's URL; `purpose` as for `require`."""
        self._resources.check_open()
        self.require(purpose)
        await self.sign_in()
        assert self._secrets is not None
        assert self._hub is not None
        return self._secrets, self._hub

    async def _hub_url(self) -> str:
        from dxflow_async.control.stored_login import StoredLogin
        from dxflow_async.server.embedded import EmbeddedHub

        settings = self._resources.settings
        if self._hub is None:
            stored = await self._resources.threads.run(StoredLogin.load, settings.home)
            self._hub = None if stored is None else stored.hub
        if self._hub is None:
            if not settings.embedded:
                raise ConfigurationError("no hub to sign in to: set hub (DXFLOW_HUB), or embedded to true")
            self._embedded = self._embedded or EmbeddedHub(settings.home, durable=settings.durable)
            self._hub = await self._embedded.start()
            self._reach_embedded_directly(self._embedded)
        return self._hub

    def _reach_embedded_directly(self, embedded: EmbeddedHub) -> None:
        """No proxy can reach the servers inside this process."""
        for host, port in embedded.addresses:
            self._resources.proxies.exempt(host, port)

    async def _connect(self) -> aiohttp.ClientSession:
        self._resources.check_open()
        return await self._open_connection()

    async def _open_connection(self) -> aiohttp.ClientSession:
        import aiohttp

        from dxflow_async.control.connector import HubConnector

        tls = await self._resources.http.tls_context()
        headers = None if self._embedded is None else self._embedded.headers
        if self._shared is not None:
            headers = self._shared.headers
        return aiohttp.ClientSession(connector=HubConnector(tls, self._resources.proxies), headers=headers)


def _parse_secrets(secrets: Mapping[str, Any]) -> Secrets:
    from dxflow_async.control.stored_login import Secrets

    return Secrets.from_dict(secrets)
