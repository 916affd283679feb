"""Credentials and endpoint of Google Cloud: the SDK's credentials, over the library's data plane.

Source: https://cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
from dataclasses import dataclass, field
from math import inf
from time import time
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.concurrency.imports import importing
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.credentials import BearerToken
from dxflow_async.config.settings import GCPSettings
from dxflow_async.config.validation import key_for_path
from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    NetworkError,
    ServiceError,
    StallTimeoutError,
    StorageError,
    UnsupportedError,
)
from dxflow_async.providers.common.renewed_credentials import RenewedCredentials
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.gcp.credentials_file import UNIVERSE, CredentialsFile, is_domain, read_credentials_file
from dxflow_async.providers.gcp.google_auth_token import TYPES as GOOGLE_AUTH_TYPES
from dxflow_async.providers.gcp.google_auth_token import GoogleAuthToken
from dxflow_async.providers.gcp.service_account import ServiceAccountToken
from dxflow_async.providers.gcp.signing import sign
from dxflow_async.providers.gcp.token_transport import TOKEN_SECONDS, TokenTransport, sign_in_error
from dxflow_async.providers.http import HTTP, Call
from dxflow_async.security.redaction import Secret, holds_key, printable, redacted

__all__ = ["GOOGLE", "CloudCredentials", "Grant"]

GOOGLE = "https://storage.googleapis.com"

_SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
_AGAIN_SECONDS = 10.0

_NO_TOKEN = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""The exceptions that the SDK raises for a response that is not a token server's."""

_PROJECT = re.compile(r"[A-Za-z0-9:._-]{1,100}")

_RENEW_SECONDS = 225.0
"""How long before its end a token is renewed, like in Google's libraries: the metadata server has a new one then."""

_NONE_FOUND = (
    "no GCP credentials were found: set GCP.service_file or GOOGLE_APPLICATION_CREDENTIALS, run "
    "`gcloud auth application-default login`, or run where the machine has a service account"
)


@dataclass(slots=True)
class Grant:
    """A token as it is sent, and its times in seconds since the epoch. `proven`: the service accepted it."""

    authorization: str = field(repr=False)
    renew_at: float
    ends_at: float
    proven: bool = False


class CloudCredentials:
    """Finds endpoint, token and project. The SDK is loaded by the first request that needs a token.

    Args:
        settings: endpoint, project and service account file.
        http: the session's data plane.
        threads: load the SDK, and read and use keys.
        name: the remote's name, as messages show it.

    Attributes:
        endpoint: the service's URL, without a trailing slash. Where nothing else names one, it is that of the universe
            of the credentials file, once the file is read: after `find_endpoint` or `grant`.
        anonymous: whether requests carry no token: for an emulator, on this machine or named by
            `STORAGE_EMULATOR_HOST`, without given credentials.
        unsigned: whether the settings want requests without a token.
        clock: Google's time, which assertions and signed URLs have.

    Raises:
        ConfigurationError: `STORAGE_EMULATOR_HOST` is not a host.
    """

    def __init__(self, settings: GCPSettings, http: HTTP, threads: Threads, *, name: str = "GCP") -> None:
        self.endpoint = _endpoint(settings)
        url = urlsplit(self.endpoint)
        own = settings.service_file or settings.credentials
        given = own or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        self._in_clear = url.scheme == "http"
        self._loopback = _is_loopback(url.hostname or "")
        emulated = settings.endpoint is None and self.endpoint != GOOGLE and own is None
        self.anonymous = self._in_clear and (emulated or (self._loopback and not given))
        self.unsigned = settings.anonymous
        self._universe_of_file = (
            settings.endpoint is None
            and self.endpoint == GOOGLE
            and not os.environ.get("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "").strip()
        )
        self._settings = settings
        self._threads = threads
        self._wire = TokenTransport(http)
        self.clock = ServerClock("Google")
        self._sdk: Any = None
        self._private_key: Any = None
        self._grant: Grant | None = None
        self._renewed: RenewedCredentials[BearerToken] | None = None
        self._token: BearerToken | None = None
        if settings.credentials is not None:
            self._renewed = RenewedCredentials(name, "GCP", settings.credentials, BearerToken)
        # The first requests of a session arrive together; they share one lookup.
        self._loading = asyncio.Lock()
        self._renewing = asyncio.Lock()

    async def find_endpoint(self) -> str | None:
        """Reads the credentials file if only it may name the universe. Returns the endpoint of that, if it does.

        Raises:
            ConfigurationError: the file is not valid.
        """
        if self._universe_of_file and self._renewed is None and not (self.anonymous or self.unsigned):
            await self._threads.run(self._read_file)
        return None if self.endpoint == GOOGLE or not self._universe_of_file else self.endpoint

    async def grant(self) -> Grant:
        """Returns the token for the next request, renewed well before its end, once for all callers.

        Raises:
            ConfigurationError: there are no credentials, or their file is not valid.
            AccessDeniedError: the credentials are refused.
            StorageError: the token server or the function of the settings failed.
        """
        if self._renewed is not None:
            return await self._renewed_grant(self._renewed)
        grant = self._grant
        if grant is not None and time() < grant.renew_at:
            return grant
        async with self._renewing:
            grant = self._grant
            if grant is None or time() >= grant.renew_at:
                grant = self._grant = await self._renew(grant)
        return grant

    def reject(self, grant: Grant) -> bool:
        """Drops a refused token. Returns whether another may help: the service had accepted this one before."""
        if self._grant is grant:
            self._grant = None
            if self._renewed is not None and self._token is not None:
                self._renewed.forget(self._token)
        return grant.proven

    async def project(self) -> str:
        """Returns the project whose buckets are listed.

        Raises:
            ConfigurationError: nothing names a project.
        """
        project = self._settings.project or os.environ.get("GOOGLE_CLOUD_PROJECT")
        if project is None and self.anonymous:
            return "emulator"
        if project is None and self._renewed is None:
            sdk = await self._load_once()
            project = sdk.service_data.get("project_id") or sdk.service_data.get("quota_project_id")
            if not sdk.service_data:
                project = await self._machine_project()
        if not project:
            raise ConfigurationError("GCP.project is not set, and the credentials name none; set it to list buckets")
        return project

    async def presign(self, method: str, bucket: str, name: str, expires: int) -> str:
        """Returns a URL with a signature in its query, made with the service account's key.

        Raises:
            ConfigurationError: `expires` is outside the 1 second to 7 days that Google allows.
            UnsupportedError: the credentials have no key to sign with.
        """
        if not 1 <= expires <= 604_800:
            raise ConfigurationError(f"expires = {expires} is not allowed; it must be 1 to 604800 seconds (7 days)")
        if not self.anonymous and self._renewed is None:
            await self._load_once()
        if self._private_key is None:
            raise Call("GCP", "presign", f"/{bucket}/{name}").error(
                UnsupportedError, "only a service account's key signs URLs; set GCP.service_file to its JSON file"
            )
        email = self._sdk.service_data["client_email"]
        place, payer = (self.endpoint, bucket, name), self._settings.user_project
        return await self._threads.run(sign, self._private_key, email, method, *place, expires, self.clock.now(), payer)

    # The token

    async def _renewed_grant(self, renewed: RenewedCredentials[BearerToken]) -> Grant:
        self._check_encrypted()
        token = await renewed.get()
        if self._grant is None or token is not self._token:
            self._token = token
            self._grant = Grant(Secret(f"Bearer {token.token}"), inf, inf)
        return self._grant

    def _check_encrypted(self) -> None:
        if self._in_clear and not self._loopback:
            raise ConfigurationError(f"GCP.endpoint = {self.endpoint!r} would get a token in the clear; use https")

    async def _renew(self, old: Grant | None) -> Grant:
        """Returns a new token, or the old one if it is still valid and a new one cannot be fetched."""
        self._check_encrypted()
        sdk = await self._load_once()
        now = time()
        try:
            # Two requests with a wrong clock, up to five for an identity of another service.
            async with asyncio.timeout(3 * TOKEN_SECONDS + getattr(sdk, "seconds", 0.0)):
                answer = await sdk.refresh(timeout=TOKEN_SECONDS)
            token, seconds = _checked(answer.value, answer.expires_in)
        except ConfigurationError:
            raise
        except (StorageError, TimeoutError, *_NO_TOKEN) as error:
            if old is not None and now < old.ends_at:
                old.renew_at = now + _AGAIN_SECONDS
                return old
            if isinstance(error, (NetworkError, StallTimeoutError)) and not sdk.service_data:
                raise _none_found() from error  # there is no metadata server
            if isinstance(error, StorageError):
                # Without the SDK's frames, which hold the signed request.
                raise error.with_traceback(None) from error.__cause__
            if isinstance(error, TimeoutError):
                raise sign_in_error(StallTimeoutError, "no answer in time") from error
            # Without the request and the response, which hold secrets.
            text = "the answer has no token in it; a sign-in page or a proxy may have answered in Google's place"
            raise sign_in_error(ServiceError, f"{text} ({type(error).__name__})") from None
        except OSError as error:
            raise sign_in_error(AccessDeniedError, f"the answer is not a token ({error!r})") from error
        return Grant(Secret(f"Bearer {token}"), now + seconds - min(_RENEW_SECONDS, seconds / 4), now + seconds)

    async def _machine_project(self) -> str | None:
        from gcloud.aio.auth.token import GCE_ENDPOINT_PROJECT, GCE_METADATA_HEADERS

        try:
            answer = await self._wire.get(GCE_ENDPOINT_PROJECT, headers=GCE_METADATA_HEADERS)
        except (NetworkError, StallTimeoutError) as error:
            raise _none_found() from error  # there are no credentials either
        except StorageError:
            return None
        project = await answer.text()
        return project if _PROJECT.fullmatch(project) else None

    async def _load_once(self) -> Any:
        async with self._loading:
            if self._sdk is None:
                self._sdk = await self._threads.run(importing, self._load)
                self._sdk.session = self._wire
        return self._sdk

    def _load(self) -> Any:
        """Returns the SDK's token object, or one of ours with its methods. Blocks."""
        from gcloud.aio.auth import Token

        source = self._read_file()
        try:
            if source.kind == "service_account":
                account = ServiceAccountToken(source.info, _SCOPE, self.clock, self._threads)
                self._private_key = account.private_key
                return account
            if source.kind in GOOGLE_AUTH_TYPES:
                return GoogleAuthToken(source.info, _SCOPE, self.clock)
            return Token(service_file=source.path, scopes=[_SCOPE])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{source} cannot be used: {type(error).__name__}: {error}"
        # Not from the error, whose frames hold the key.
        raise ConfigurationError(reason)

    def _read_file(self) -> CredentialsFile:
        """Reads the credentials file, and takes the endpoint of its universe. Blocks."""
        file = self._settings.service_file or Secret(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")) or None
        if file is not None and holds_key(str(file)):
            raise ConfigurationError(key_for_path("GOOGLE_APPLICATION_CREDENTIALS"))
        setting = "GCP.service_file" if self._settings.service_file else "GOOGLE_APPLICATION_CREDENTIALS"
        source = read_credentials_file(None if file is None else str(file), setting)
        if self._universe_of_file and source.universe != UNIVERSE:
            self.endpoint = _storage_of(source.universe)
        return source


def _none_found() -> ConfigurationError:
    """Returns the error for a machine without credentials and without a metadata service that answers."""
    for variable in ("GCE_METADATA_HOST", "GCE_METADATA_ROOT"):
        host = os.environ.get(variable)
        if host:
            said = f"the metadata service that {variable} names, {printable(redacted(host))[:100]}, does not answer"
            return ConfigurationError(f"{_NONE_FOUND}; {said}: correct or unset the variable")
    return ConfigurationError(_NONE_FOUND)


def _storage_of(universe: str) -> str:
    return f"https://storage.{universe.lower()}"


def _checked(token: Any, seconds: Any) -> tuple[str, float]:
    """Returns a token and its lifetime in seconds.

    Raises:
        ValueError, TypeError: the token cannot be sent in a header, or does not last.
    """
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
        raise ValueError("no token")
    if not 0 < float(seconds) < float("inf"):
        raise ValueError("no lifetime")
    return token, float(seconds)


def _endpoint(settings: GCPSettings) -> str:
    if settings.endpoint is not None:
        return settings.endpoint.rstrip("/")
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "").strip()
    if not emulator:
        universe = os.environ.get("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "").strip()
        if not universe or universe == UNIVERSE:
            return GOOGLE
        if not is_domain(universe):
            raise ConfigurationError("GOOGLE_CLOUD_UNIVERSE_DOMAIN is not allowed; it must be a domain")
        return _storage_of(universe)
    url = emulator if "://" in emulator else f"http://{emulator}"
    url = re.sub(r"/(storage/v1/?)?$", "", url)  # Google's client for Go takes the URL of the JSON API
    if not re.fullmatch(r"https?://[^/?#\s@]+/?", url):
        raise ConfigurationError(
            "STORAGE_EMULATOR_HOST is not allowed; it must be [http://]host[:port], without a user or a password"
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
