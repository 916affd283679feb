"""The remotes of a session: their settings, with what the clouds' SDKs are configured with, and those of URLs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from dxflow_async.concurrency.imports import importing
from dxflow_async.config.clouds import AzureSettings
from dxflow_async.config.connection_string import parse_connection_string
from dxflow_async.config.kinds import UnusableSettings
from dxflow_async.config.remotes import where_configured
from dxflow_async.config.sdk_configuration import configured_by, with_sdk_configuration
from dxflow_async.exceptions import ConfigurationError, DxflowError
from dxflow_async.foreign_locations import is_azure_url, without_secrets
from dxflow_async.paths import PROVIDERS, unknown_location
from dxflow_async.providers import registry
from dxflow_async.security.redaction import Secret, redacted
from dxflow_async.storage.url_origins import is_at_remote, is_same_server

if TYPE_CHECKING:
    from dxflow_async.account_connection import AccountConnection
    from dxflow_async.providers.contract import Provider
    from dxflow_async.transfer.resources import Resources

__all__ = ["Remote", "Remotes", "URLRemote"]

_HIDDEN = "***"

FromURL = Callable[[str, Any | None], tuple[Any, str]]


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote and its settings.

    Attributes:
        name: its name in capitals.
        settings: the settings of its kind. None: it is not configured, and a local directory takes its place.
        source: the configuration of a cloud's SDK that says which account it is, if that alone does; such as
            `"AWS_PROFILE"`.
    """

    name: str
    settings: Any | None
    source: str | None = None

    def notice(self, provider: Provider) -> str | None:
        """Says which service a remote is, if only the configuration of a cloud's SDK does."""
        endpoint = redacted(provider.features.endpoint or "")
        return None if self.source is None else f"{self.name} is {endpoint}: {self.source} configures it"


@dataclass(frozen=True, slots=True)
class URLRemote:
    """A place whose URL names the host.

    Attributes:
        name: the name of the kind, or of the configured remote that is there, in capitals.
        kind: the kind.
        settings: its settings, which may hold secrets of the URL.
        origin: what the locations there start with; it ends in a slash and shows no secret.
        path: the path there.
        shown: the URL with `***` for its secrets, which job files keep.
    """

    name: str
    kind: str
    settings: Any
    origin: str
    path: str
    shown: str


class Remotes:
    """Looks up remotes once each, since that may read files. Configuration files of SDKs are read in worker threads.

    Args:
        resources: the session's resources.
        account: the session's account, whose hub may keep settings of remotes.
    """

    def __init__(self, resources: Resources, account: AccountConnection) -> None:
        self._resources = resources
        self._account = account
        self._found: dict[str, Remote] = {}

    async def find(self, name: str) -> Remote:
        """Returns a remote by its name in capitals; the first call signs in.

        Raises:
            ConfigurationError: its settings cannot be used.
        """
        if name not in self._found:
            await self._account.sign_in()
            async with self.naming(name):
                self._found[name] = await self._resources.threads.run(importing, self._look_up, name)
        return self._found[name]

    @asynccontextmanager
    async def naming(self, name: str) -> AsyncIterator[None]:
        """Has each `ConfigurationError` in its body say which remote it is about, and where that is configured.

        Args:
            name: the remote's name in capitals; of those that are always there, messages have the name anyway.
        """
        try:
            yield
        except ConfigurationError as error:
            lower = name.lower()
            settings = self._resources.settings.remotes.get(lower)
            if settings is None:
                raise
            text = str(error) if f"remotes.{lower}" in str(error) else f"remotes.{lower}: {error}"
            where = await self._resources.threads.run(where_configured, self._resources.settings.home, lower, settings)
            raise ConfigurationError(text if where is None else f"{where}: {text}") from error

    async def of_url(self, url: str) -> tuple[Remote, str] | URLRemote:
        """Returns what a URL names: a path at a remote, or a place that is known by its URL only.

        A signature in the URL of a blob is not used: the remote whose storage account it is has credentials.

        Raises:
            ConfigurationError: the URL is not valid, or belongs to no remote.
        """
        parts = _split(url)
        if parts.scheme in ("http", "https"):
            for name in self._of_kind(AzureSettings):
                remote = await self.find(name)
                service = _blob_service(remote.settings) if isinstance(remote.settings, AzureSettings) else None
                if service is not None and _is_below(parts, urlsplit(service)):
                    return remote, _blob_path(url, parts, urlsplit(service))
        if is_azure_url(url):
            account = (parts.hostname or "").partition(".")[0]
            raise ConfigurationError(
                f"location {without_secrets(url)}: no remote is the storage account {account!r}; set azure.account, or "
                f'define a remote with type = "azure" and account = "{account}"'
            )
        return await self._resources.threads.run(importing, self._by_kind, url, parts)

    def _look_up(self, name: str) -> Remote:
        settings = self._resources.settings
        named = settings.remotes.get(name.lower())
        if isinstance(named, UnusableSettings):
            raise ConfigurationError(named.reason)
        if named is not None:
            return Remote(name, with_sdk_configuration(named))
        own = getattr(self._account.apply_provider_settings(settings, name), name.lower())
        if own.configured or not self._account.embedded:
            here = getattr(settings, name.lower()).configured
            return Remote(name, with_sdk_configuration(own, default=here))
        source = configured_by(own) if settings.sdk_configuration else None
        return Remote(name, None if source is None else with_sdk_configuration(own), source)

    def _of_kind(self, cls: type[Any]) -> Iterator[str]:
        """The names of the remotes with settings of a class, those that are always there first."""
        settings = self._resources.settings
        for name in PROVIDERS:
            if isinstance(getattr(settings, name.lower()), cls):
                yield name
        for name in sorted(settings.remotes):
            if isinstance(settings.remotes[name], cls):
                yield name.upper()

    def _by_kind(self, url: str, parts: SplitResult) -> tuple[Remote, str] | URLRemote:
        kind = registry.kind_of_scheme(parts.scheme)
        if kind is None:
            raise unknown_location(url, self._resources.settings.remotes, registry.url_schemes())
        names = list(self._of_kind(kind.settings))
        if kind.from_url is not None:
            name, settings, path = self._from_url(kind, kind.from_url, url, parts, names)
            return URLRemote(name, kind.kind, settings, _origin(parts, path), path, _shown(parts))
        # A kind whose URLs name no host: the only remote of that kind, else one with the default settings.
        path = f"/{url.partition('://')[2]}"
        if len(names) > 1:
            listed = " or ".join(f"{each.lower()}:" for each in names)
            raise ConfigurationError(f"location {without_secrets(url)} could be at several remotes; write {listed}")
        if names:
            return Remote(names[0], self._resources.settings.remotes[names[0].lower()]), path
        origin = f"{parts.scheme}://"
        return URLRemote(kind.kind.upper(), kind.kind, _defaults(kind, url), origin, path, origin)

    def _from_url(
        self, kind: registry.ProviderKind, from_url: FromURL, url: str, parts: SplitResult, names: list[str]
    ) -> tuple[str, Any, str]:
        """The settings of a URL: with those of the first configured remote at its server, and of no other remote."""
        for name in names:
            configured = self._resources.settings.remotes[name.lower()]
            if not is_at_remote(parts, kind.schemes, configured):
                continue
            try:
                settings, path = _called(kind, from_url, url, configured)
            except ConfigurationError:
                continue
            if is_same_server(settings, configured):
                return name, settings, path
        return kind.kind.upper(), *_called(kind, from_url, url, None)


def _called(kind: registry.ProviderKind, from_url: FromURL, url: str, configured: Any | None) -> tuple[Any, str]:
    """Has a kind read a URL. A package of somebody else's may raise anything; its words may hold a secret."""
    try:
        return from_url(url, configured)
    except DxflowError:
        raise
    except Exception as error:
        reason = f"the type {kind.kind} raised {type(error).__name__}"
        raise ConfigurationError(f"location {without_secrets(url)} cannot be used: {reason}") from error


def _defaults(kind: registry.ProviderKind, url: str) -> Any:
    """The default settings of a kind, for a URL that belongs to no remote."""
    try:
        return kind.settings()
    except Exception as error:
        # A package of somebody else's may raise anything; its words may hold a secret.
        reason = str(error) if isinstance(error, DxflowError) else f"its settings raised {type(error).__name__}"
        raise ConfigurationError(
            f"location {without_secrets(url)}: no remote has the type {kind.kind}, which needs settings ({reason}); "
            f'define a remote with type = "{kind.kind}"'
        ) from error


def _split(url: str) -> SplitResult:
    """Takes a URL apart; no error repeats it, since it may hold a secret."""
    try:
        parts = urlsplit(Secret(url))
        valid = parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(f"location {without_secrets(url)} is not a valid URL")
    return parts


def _is_below(parts: SplitResult, service: SplitResult) -> bool:
    """Whether a URL is one of a blob service, also by the host of its Data Lake twin."""
    host = re.sub(r"\.dfs\.", ".blob.", parts.hostname or "")
    same = (parts.scheme, host, _port(parts)) == (service.scheme, service.hostname, _port(service))
    return same and f"{parts.path}/".startswith(f"{service.path.rstrip('/')}/")


def _blob_path(url: str, parts: SplitResult, service: SplitResult) -> str:
    if {"snapshot", "versionid"} & {name.lower() for name in parse_qs(parts.query)}:
        raise ConfigurationError(
            f"location {without_secrets(url)} names a snapshot or a version of a blob, which cannot be copied; "
            "leave its query out for the blob itself"
        )
    try:
        return unquote(parts.path.removeprefix(service.path.rstrip("/")), errors="strict") or "/"
    except UnicodeDecodeError:
        raise ConfigurationError(f"location {without_secrets(url)} has escapes that are not UTF-8") from None


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _blob_service(settings: AzureSettings) -> str | None:
    """The URL of an account's blob service, if the settings name one."""
    if settings.connection_string is not None:
        return parse_connection_string(settings.connection_string)["endpoint"]
    return settings.endpoint or (settings.account and f"https://{settings.account}.blob.core.windows.net")


def _authority(parts: SplitResult) -> str:
    """User, host and port of a URL. A password is hidden, and with it the user of a web URL, who may be a token."""
    user, at, host = parts.netloc.rpartition("@")
    if at and parts.scheme in ("http", "https"):
        user = _HIDDEN
    elif ":" in user:
        user = f"{user.partition(':')[0]}:{_HIDDEN}"
    return f"{user}{at}{host}"


def _origin(parts: SplitResult, path: str) -> str:
    """What precedes the path in a URL; it ends in a slash and shows no secret."""
    whole = unquote(parts.path, errors="surrogateescape")
    before = whole.removesuffix(path) if path and whole.endswith(path) else ""
    return f"{parts.scheme}://{_authority(parts)}{before.rstrip('/')}/"


def _shown(parts: SplitResult) -> str:
    """A URL with `***` for its secrets."""
    return f"{parts.scheme}://{_authority(parts)}{parts.path}{f'?{_HIDDEN}' if parts.query else ''}"
