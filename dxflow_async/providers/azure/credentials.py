"""Credentials and endpoint of Azure Blob Storage: account key, shared access signature, or bearer tokens.

The SDK parses connection strings and signs URLs. azure-identity, if it is installed, finds the credentials of the
machine; a new token is requested minutes before the last one expires.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import time
from typing import Any, Protocol
from urllib.parse import urlsplit

from dxflow_async.concurrency.imports import importing
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.azure_endpoint import authority_of
from dxflow_async.config.azure_environment import azure_account
from dxflow_async.config.connection_string import parse_connection_string
from dxflow_async.config.credentials import BearerToken, SASToken
from dxflow_async.config.settings import AzureSettings
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError, NetworkError
from dxflow_async.providers.azure.sdk_transport import SDKTransport
from dxflow_async.providers.azure.shared_key import SharedKey
from dxflow_async.providers.common.remote_names import for_remote
from dxflow_async.providers.common.renewed_credentials import RenewedCredentials
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.http import HTTP
from dxflow_async.security.redaction import Secret, printable

__all__ = ["Access", "Account", "CloudCredentials", "TokenCredential", "Tokens"]

_log = logging.getLogger("dxflow_async.providers.azure")

_SCOPE = "https://storage.azure.com/.default"

_REFRESH_SECONDS = 300.0
"""How long before its end a token is renewed; requests in flight may still need it."""

_PAUSE_SECONDS = 30.0
"""How long the old token is used after a failed renewal before the next attempt."""


class TokenCredential(Protocol):
    """Any of the asynchronous credentials of azure-identity."""

    async def get_token(self, *scopes: str, **kwargs: Any) -> Any: ...


class Tokens:
    """Caches the bearer token of a credential; one caller fetches a new one for all."""

    def __init__(self, credential: TokenCredential, name: str = "AZURE") -> None:
        self._name = name
        self._credential = credential
        self._fetching = asyncio.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._ends_at = 0.0

    async def token(self) -> str:
        """Returns a token that is valid for the next request.

        Raises:
            AccessDeniedError: the credential provides none.
            NetworkError: its source cannot be reached.
        """
        if time() < self._renew_at:
            return self._token
        if self._fetching.locked() and time() < self._ends_at:
            return self._token
        async with self._fetching:
            if time() >= self._renew_at:
                await self._renew()
            return self._token

    def forget(self, token: str) -> None:
        """Drops a token that the service refused."""
        if token == self._token:
            self._renew_at = self._ends_at = 0.0

    async def _renew(self) -> None:
        try:
            fetched = await self._credential.get_token(_SCOPE)
        except _sdk_errors() as error:
            if time() >= self._ends_at:
                raise _token_error(error, self._name) from error
            self._renew_at = min(self._ends_at, time() + _PAUSE_SECONDS)
            _log.warning("the Azure token could not be renewed yet: %s", printable(_reason(error)))
            return
        left = fetched.expires_on - time()
        self._token = fetched.token
        self._ends_at = time() + left
        self._renew_at = time() + max(left - _REFRESH_SECONDS, left / 2)


@dataclass(frozen=True, slots=True)
class Account:
    """A storage account and one way to authenticate.

    Attributes:
        origin: scheme and host of the service.
        root: the start of every path: empty, or `/account` at an emulator.
        name: the account's name; empty if only the endpoint is known.
        key: the account's key.
        sas: a shared access signature, as a query without its question mark.
        tokens: bearer tokens of azure-identity.
        granted: what the user's function returns. At most one of these four is set.
    """

    origin: str
    root: str
    name: str
    key: SharedKey | None = None
    sas: str = field(default="", repr=False)
    tokens: Tokens | None = None
    granted: RenewedCredentials[BearerToken | SASToken] | None = None

    @property
    def host(self) -> str:
        """Host and port."""
        return self.origin.partition("://")[2]

    async def access(self) -> Access:
        """Returns what permits the next request; nothing for an account with a key, which signs it.

        Raises:
            ConfigurationError: a bearer token would be sent without encryption.
            StorageError: there are no credentials.
        """
        if self.tokens is not None:
            return Access(token=await self.tokens.token())
        if self.granted is None:
            return Access(self.sas)
        grant = await self.granted.get()
        if isinstance(grant, SASToken):
            return Access(grant.token.removeprefix("?"), grant=grant)
        if self.origin.startswith("http://"):
            raise ConfigurationError(_IN_CLEAR.format(endpoint=self.origin + self.root))
        return Access(token=grant.token, grant=grant)

    def forget(self, refused: Access) -> bool:
        """Drops what the service refused. Returns whether another request may be permitted."""
        if self.tokens is not None:
            self.tokens.forget(refused.token)
        elif self.granted is not None and refused.grant is not None:
            self.granted.forget(refused.grant)
        else:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Access:
    """What permits a request.

    Attributes:
        sas: a shared access signature, as the end of a query.
        token: a bearer token.
        grant: what the user's function returned, if it is from there.
    """

    sas: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    grant: BearerToken | SASToken | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sas", Secret(self.sas))
        object.__setattr__(self, "token", Secret(self.token))


_IN_CLEAR = (
    "AZURE.endpoint = {endpoint!r} is not allowed without AZURE.account_key or AZURE.sas_token: "
    "bearer tokens go over https only"
)


class CloudCredentials:
    """Finds the account. The SDK is loaded only if the settings leave something open.

    Args:
        settings: the user's settings; if they name no account, Azure's own `AZURE_STORAGE_*` variables count.
        http: sends azure-identity's requests.
        threads: load the SDK.
        credential: one of azure-identity's asynchronous credentials, closed by its owner; None: its default chain.
        name: the remote's name, as messages show it.

    Attributes:
        clock: the service's time, which signatures have.
    """

    def __init__(
        self,
        settings: AzureSettings,
        http: HTTP,
        threads: Threads,
        credential: TokenCredential | None = None,
        *,
        name: str = "AZURE",
    ) -> None:
        self._name = name
        self._transport = SDKTransport(http, name)
        self._settings = azure_account(settings, os.environ)
        self.clock = ServerClock(self.endpoint)
        self._threads = threads
        self._credential = credential
        self._chain: Any = None
        self._loading = asyncio.Lock()
        self._account: Account | None = None
        self._key: tuple[str, str] | None = None

    @property
    def has_key(self) -> bool:
        """Whether there is an account key, which is needed to sign URLs."""
        text = self._settings.connection_string
        if text is not None:
            return "accountkey=" in text.lower() or "usedevelopmentstorage=true" in text.lower()
        return self._settings.account_key is not None

    @property
    def endpoint(self) -> str:
        """The service as the settings name it, without secrets; it keys the request budget and appears in messages."""
        settings = self._settings
        if settings.endpoint is not None:
            return settings.endpoint
        if settings.connection_string is not None:
            with suppress(ConfigurationError):  # the first request tells
                return str(
                    AzureSettings(endpoint=parse_connection_string(settings.connection_string)["endpoint"]).endpoint
                )
        return f"{settings.account}.blob.core.windows.net" if settings.account else "blob.core.windows.net"

    async def account(self) -> Account:
        """Returns the account, which is found once.

        Raises:
            ConfigurationError: the settings are incomplete or wrong.
        """
        if self._account is None:
            async with self._loading:
                if self._account is None:
                    self._account = await self._find()
        return self._account

    async def presign(self, method: str, container: str, name: str, expires: int, *, https: bool) -> str:
        """Returns the query that permits a method on a blob for that many seconds (a service SAS).

        Raises:
            ConfigurationError: `expires` is less than a second, or the method is not GET, HEAD, PUT or DELETE.
        """
        await self.account()
        permission = {"GET": "r", "HEAD": "r", "PUT": "cw", "DELETE": "d"}.get(method)
        if permission is None:
            raise ConfigurationError(f"method = {method!r} is not allowed; it must be GET, HEAD, PUT or DELETE")
        if expires < 1:
            raise ConfigurationError(f"expires = {expires} is not allowed; it must be 1 second or more")
        assert self._key is not None
        return await self._threads.run(
            _presign, self._key, container, name, permission, self.clock.now() + expires, https
        )

    async def aclose(self) -> None:
        """Closes the default credential chain if it was created here."""
        chain, self._chain = self._chain, None
        if chain is not None:
            await chain.close()

    async def _find(self) -> Account:
        settings = self._settings
        if settings.connection_string is not None:
            values: dict[str, Any] = {**parse_connection_string(settings.connection_string)}
            settings = AzureSettings(**values)
        account = self._place(settings)
        if settings.account_key is not None:
            assert settings.account is not None
            self._key = settings.account, settings.account_key
            return replace(account, key=self._shared_key(*self._key))
        if settings.sas_token is not None:
            return replace(account, sas=Secret(settings.sas_token.removeprefix("?")))
        if settings.anonymous:
            return account
        if settings.credentials is not None:
            return replace(
                account, granted=RenewedCredentials(self._name, "AZURE", settings.credentials, BearerToken, SASToken)
            )
        if account.origin.startswith("http://"):
            raise ConfigurationError(for_remote(_IN_CLEAR.format(endpoint=settings.endpoint), self._name, "AZURE"))
        if self._credential is None:
            self._credential = self._chain = await self._threads.run(
                importing, _default_chain, self._name, self._transport, authority_of(account.origin)
            )
        return replace(account, tokens=Tokens(self._credential, self._name))

    def _place(self, settings: AzureSettings) -> Account:
        if settings.endpoint is None and settings.account is None:
            advice = "set AZURE.account or AZURE.connection_string, or AZURE_STORAGE_ACCOUNT"
            raise ConfigurationError(f"no Azure account is named: {for_remote(advice, self._name, 'AZURE')}")
        parts = urlsplit(settings.endpoint or f"https://{settings.account}.blob.core.windows.net")
        return Account(f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"), settings.account or "")

    def _shared_key(self, account: str, key: str) -> SharedKey:
        try:
            return SharedKey(account, key)
        except ValueError as error:
            setting = for_remote("AZURE.account_key", self._name, "AZURE")
            raise ConfigurationError(f"{setting} is not allowed: it must be base64, as the portal shows it") from error


def _default_chain(name: str, transport: SDKTransport, authority: str | None) -> Any:
    try:
        from azure.identity.aio import DefaultAzureCredential
    except ImportError as error:
        advice = for_remote("set AZURE.connection_string, AZURE.account_key or AZURE.sas_token", name, "AZURE")
        raise ConfigurationError(
            f"no {name} credentials are set: {advice}, or install dxflow-async[azure-identity] to sign in as this "
            "machine or user"
        ) from error
    if authority is None or os.environ.get("AZURE_AUTHORITY_HOST"):
        return DefaultAzureCredential(transport=transport)
    return DefaultAzureCredential(transport=transport, authority=authority)


def _sdk_errors() -> type[Exception]:
    from azure.core.exceptions import AzureError

    return AzureError


def _token_error(error: Exception, name: str) -> AccessDeniedError | NetworkError:
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    text = f"{name} sign in failed: {_reason(error)}"
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return NetworkError(f"{text}; check the network", provider=name, operation="sign in")
    advice = for_remote("sign in again, or set AZURE.account_key or AZURE.sas_token", name, "AZURE")
    return AccessDeniedError(f"{text}; {advice}", provider=name, operation="sign in")


def _reason(error: Exception) -> str:
    """The first line of an error. For a chain of credentials also why it stopped at one that the machine has."""
    first, *rest = str(error).strip().splitlines() or [""]
    attempts = [line.strip() for line in rest if line.startswith("\t")]
    if attempts and not _UNAVAILABLE.search(attempts[-1]):
        return f"{first.strip()} {attempts[-1][:500]}"
    return first.strip()


_UNAVAILABLE = re.compile(r"unavailable|not (be )?(found|installed|enabled)|unsupported")
"""How azure-identity says that a kind of credentials is not there, rather than wrong."""


def _presign(
    account_key: tuple[str, str], container: str, name: str, permission: str, ends_at: float, https: bool
) -> str:
    from azure.storage.blob import generate_blob_sas

    account, key = account_key
    return generate_blob_sas(
        account,
        container,
        name,
        account_key=key,
        permission=permission,
        expiry=datetime.fromtimestamp(ends_at, UTC),
        protocol="https" if https else None,
    )
