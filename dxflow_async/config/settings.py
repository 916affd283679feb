"""Settings: defaults < `config.toml` < environment < arguments, checked before any I/O.

`config.toml` lies in the home directory (`DXFLOW_HOME`). Every setting has an environment variable:
`DXFLOW_` and the name in capitals, and for a provider `DXFLOW_AWS_ENDPOINT` and so on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from dxflow_async.config.connection_string import parse_connection_string
from dxflow_async.config.loader import SECRETS, Sections, from_environment, from_file, key_for_path, not_allowed
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret, holds_key

__all__ = [
    "AWSSettings",
    "AzureSettings",
    "GCPSettings",
    "Settings",
    "default_home",
    "from_account",
    "with_account",
]

MiB, GiB = 1 << 20, 1 << 30


def default_home() -> Path:
    """The platform's data directory for this program."""
    from platformdirs import user_data_path

    return user_data_path("dxflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class AWSSettings:
    """How to reach S3, or anything that speaks S3.

    Attributes:
        endpoint: the service's URL; None asks the SDK for Amazon's own.
        region: None takes the profile's or the environment's, else `us-east-1`.
        profile: a profile of the SDK's configuration files.
        access_key, secret_key, session_token: None uses the SDK's credential chain.
        addressing: `"path"`, `"virtual"`, or `"auto"` (path style for an endpoint of your own).
        sign_payload: sign a SHA-256 of each body too; bodies carry a CRC32C either way.
        private, public: `bucket/prefix` of the account's areas; None: the first path segment is the bucket.
    """

    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    addressing: str = "auto"
    sign_payload: bool = False
    private: str | None = None
    public: str | None = None

    def __post_init__(self) -> None:
        _check_texts("AWS", self, "access_key", "secret_key", "session_token")
        _hide(self, "secret_key", "session_token")
        _check_endpoint("AWS", self.endpoint, path=False)
        if self.region is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", self.region):
            raise ConfigurationError(not_allowed("AWS.region", self.region, "a name such as eu-central-1"))
        if self.addressing not in ("auto", "path", "virtual"):
            raise ConfigurationError(not_allowed("AWS.addressing", self.addressing, "auto, path or virtual"))
        if (self.access_key is None) != (self.secret_key is None):
            raise ConfigurationError("AWS.access_key and AWS.secret_key go together: set both or neither")
        _check_areas("AWS", self)

    @property
    def configured(self) -> bool:
        """Whether anything says that the real service is meant."""
        return self != type(self)()


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureSettings:
    """How to reach Azure Blob Storage. Of the ways to identify, the first that is set is taken.

    Attributes:
        endpoint: the blob service's URL; None: that of `account`.
        account: the storage account's name.
        connection_string: as the portal shows it; it names the endpoint and the account too.
        account_key: the account's key, in base64.
        sas_token: a shared access signature. Without any of these: azure-identity's chain, where it is installed.
        checksum: what the service compares: `"crc64"`, `"md5"`, or `"auto"`: MD5 where CRC64 is refused, and at an
            emulator, which has the account in its URLs' paths and takes far longer for a CRC64.
        private, public: `container/prefix` of the account's areas; None: the first path segment is the container.
    """

    endpoint: str | None = None
    account: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    checksum: str = "auto"
    private: str | None = None
    public: str | None = None

    def __post_init__(self) -> None:
        _check_texts("AZURE", self, "account_key", "sas_token")
        _hide(self, "connection_string", "account_key", "sas_token")
        _check_endpoint("AZURE", self.endpoint, path=True)
        if self.account is not None and not re.fullmatch(r"[a-z0-9]{3,24}", self.account):
            raise ConfigurationError(not_allowed("AZURE.account", self.account, "3 to 24 small letters and digits"))
        if self.checksum not in ("auto", "crc64", "md5"):
            raise ConfigurationError(not_allowed("AZURE.checksum", self.checksum, "auto, crc64 or md5"))
        if self.account_key is not None and self.account is None:
            raise ConfigurationError("AZURE.account_key needs AZURE.account: set both")
        _check_areas("AZURE", self)

    @property
    def configured(self) -> bool:
        """Whether anything says that the real service is meant."""
        return self != type(self)()


@dataclass(frozen=True, slots=True, kw_only=True)
class GCPSettings:
    """How to reach Google Cloud Storage.

    Attributes:
        endpoint: the service's URL; None: `STORAGE_EMULATOR_HOST` of the environment, else Google's own.
        project: whose buckets are listed; None: the credentials'.
        service_file: a service account's JSON file; None: application default credentials, metadata server included.
        private, public: `bucket/prefix` of the account's areas; None: the first path segment is the bucket.
    """

    endpoint: str | None = None
    project: str | None = None
    service_file: Path | None = None
    private: str | None = None
    public: str | None = None

    def __post_init__(self) -> None:
        _check_texts("GCP", self)
        _check_endpoint("GCP", self.endpoint, path=False)
        if self.service_file is not None and holds_key(str(self.service_file)):
            object.__setattr__(self, "service_file", None)  # no dump of local variables shows it
            raise ConfigurationError(key_for_path("GCP.service_file"))
        if self.service_file is not None and not _is_file(self.service_file):
            raise ConfigurationError(not_allowed("GCP.service_file", self.service_file, "a readable JSON file"))
        _check_areas("GCP", self)

    @property
    def configured(self) -> bool:
        """Whether anything says that the real service is meant."""
        return self != type(self)()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Sizes are bytes, times are seconds.

    Attributes:
        home: where logins, jobs, the embedded hub and its local storage are kept.
        hub: the control plane's URL; None uses the stored login's, else the embedded hub.
        embedded: whether a hub inside this process may be started.
        max_concurrency: requests in flight per endpoint, at most; it adapts below that.
        max_memory_bytes: buffered bytes, over all calls of a session.
        max_bandwidth: bytes a second over all calls of a session; None is unlimited.
        part_size: of large files, at least; it grows with the file.
        max_attempts: tries of one request without progress.
        connect_timeout, stall_timeout: never a limit on the whole of a transfer.
        disk_threads: threads that read and write local files, at the most; more than processors only while the disk
            is slow.
        journal: whether transfers remember in `home` what they have done, so that a later process can go on.
        durable: whether files, and the journal, are on disk before they count as written, so that a loss of power takes
            nothing that was reported as done; otherwise that is left to the operating system.
        max_cached_items: listing cache; the directories used longest ago go first.
        transport: the HTTP client: `"fast"` (this library's own), `"aiohttp"`, or `"auto"`, which takes the fast one
            for direct connections and aiohttp for others, such as those through a proxy. Experimental.
        ca_bundle: certificate authorities to trust besides the system's: a PEM file, or a directory of PEM files. Where
            it is unset, the variables `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE` name them.
        client_certificate: a PEM file with the certificate that is shown to servers which ask for one, and its chain.
        client_key: a PEM file with its private key, unencrypted; None takes the key from `client_certificate`.
        tls_minimum_version: the lowest version of TLS that is spoken: `"1.2"` or `"1.3"`.
        aws, azure, gcp: how to reach the providers.

    Raises:
        ConfigurationError: naming the setting, its value and what is allowed.

    Example:
        >>> Settings(max_concurrency=8, aws=AWSSettings(region="eu-central-1")).aws.region
        'eu-central-1'
    """

    home: Path = field(default_factory=default_home)
    hub: str | None = None
    embedded: bool = True
    max_concurrency: int = 64
    max_memory_bytes: int = 256 * MiB
    max_bandwidth: int | None = None
    part_size: int = 8 * MiB
    max_attempts: int = 10
    connect_timeout: float = 10.0
    stall_timeout: float = 60.0
    disk_threads: int = 4
    journal: bool = True
    durable: bool = True
    max_cached_items: int = 1_000_000
    transport: str = "auto"
    ca_bundle: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    tls_minimum_version: str = "1.2"
    aws: AWSSettings = field(default_factory=AWSSettings)
    azure: AzureSettings = field(default_factory=AzureSettings)
    gcp: GCPSettings = field(default_factory=GCPSettings)

    def __post_init__(self) -> None:
        if self.hub is not None and not re.fullmatch(r"https?://[^\s?#]+", self.hub):
            raise ConfigurationError(not_allowed("hub", self.hub, "http(s)://host[:port][/path]"))
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name == "max_bandwidth":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigurationError(not_allowed(name, value, f"{low} to {high}"))
        if self.max_memory_bytes < 2 * self.part_size:
            raise ConfigurationError(not_allowed("max_memory_bytes", self.max_memory_bytes, "at least two part_size"))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigurationError(not_allowed(name, getattr(self, name), " or ".join(allowed)))
        for name in ("ca_bundle", "client_certificate", "client_key"):
            _check_pem_path(self, name, directory=name == "ca_bundle")
        if self.client_key is not None and self.client_certificate is None:
            raise ConfigurationError("client_key needs client_certificate: set both")

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """Settings from `config.toml`, the environment and these arguments, the last one winning.

        Raises:
            ConfigurationError: an unknown key or a bad value, with its file and line or variable.
        """
        try:
            return cls._load(arguments)
        except ConfigurationError as error:
            reason = str(error)
        # Not from that error: its frames hold the file, the environment and all other settings, secrets among them.
        raise ConfigurationError(reason)

    @classmethod
    def _load(cls, arguments: dict[str, Any]) -> Self:
        home = Path(arguments.get("home") or os.environ.get("DXFLOW_HOME") or default_home())
        found = from_file(home / "config.toml", cls, _SECTIONS) | from_environment(os.environ, cls, _SECTIONS)
        values: dict[str, Any] = {name: each.value for name, each in found.items() if "." not in name}
        try:
            for section, settings in _SECTIONS.items():
                own = {name: each.value for name, each in found.items() if name.startswith(f"{section}.")}
                values[section.lower()] = settings(**{name.partition(".")[2]: value for name, value in own.items()})
            return cls(**{**values, **arguments, "home": home})
        except ConfigurationError as error:
            # Messages begin with the setting's name.
            name = str(error).partition(" ")[0]
            if name not in found or name in arguments:
                raise
            raise ConfigurationError(f"{found[name].where}: {error}") from None

    @property
    def storage_home(self) -> Path:
        """Where a provider that is not configured keeps its bytes under the embedded hub."""
        return self.home / "storage"


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("max_concurrency", 1, 1024),
    ("max_memory_bytes", 16 * MiB, 1 << 40),
    ("max_bandwidth", 1024, 1 << 50),
    ("part_size", 5 * MiB, 5 * GiB),
    ("max_attempts", 1, 100),
    ("connect_timeout", 0.1, 3600),
    ("stall_timeout", 0.1, 3600),
    ("disk_threads", 1, 64),
    ("max_cached_items", 0, 1 << 40),
)

_CHOICES = {"transport": ("auto", "fast", "aiohttp"), "tls_minimum_version": ("1.2", "1.3")}

_SECTIONS: Sections = {"AWS": AWSSettings, "AZURE": AzureSettings, "GCP": GCPSettings}


def with_account(settings: Settings, provider: str, given: Mapping[str, Any]) -> Settings:
    """Settings in which a provider is as the account has it at its hub, unless this machine configures it.

    Raises:
        ConfigurationError: what the account has cannot be used; this machine's own credentials are sent to no
            endpoint that a hub names.
    """
    section = provider.lower()
    if getattr(settings, section).configured:
        return settings
    changed: dict[str, Any] = {section: from_account(provider, given)}
    return replace(settings, **changed)


def from_account(provider: str, given: Mapping[str, Any]) -> AWSSettings | AzureSettings | GCPSettings:
    """The settings of a provider that a hub gives.

    A connection string is taken apart, so that the endpoint and the credentials are what requests will be made with:
    an endpoint that a hub names is used with credentials that it gives, or not at all.

    Raises:
        ConfigurationError: as for `with_account`.
    """
    section = provider.lower()
    values = {
        name: Secret(value) if name in SECRETS and isinstance(value, str) else value for name, value in given.items()
    }
    odd = next((name for name, value in values.items() if not isinstance(value, str | bool)), None)
    if odd is not None:
        raise ConfigurationError(f"the account's settings of {provider} cannot be used here: {odd} is no text")
    if "connection_string" in values:
        values |= parse_connection_string(values.pop("connection_string"))
    if "service_file" in values:
        values["service_file"] = Path(values["service_file"])
    try:
        made = _SECTIONS[provider](**values)
    except TypeError as error:
        reason = str(error)
    else:
        assert isinstance(made, AWSSettings | AzureSettings | GCPSettings)
        if made.endpoint is None or _has_credentials(made):
            return made
        reason = (
            f"they name the endpoint {made.endpoint} without credentials of its own, and this machine's are "
            f"not sent there; set {section}.endpoint here, if you trust it"
        )
    raise ConfigurationError(f"the account's settings of {provider} cannot be used here: {reason}")


def _has_credentials(settings: AWSSettings | AzureSettings | GCPSettings) -> bool:
    """Whether requests are made with what these settings hold, and with nothing that is this machine's own."""
    match settings:
        case AWSSettings():
            return settings.access_key is not None and settings.profile is None
        case AzureSettings():
            return settings.account_key is not None or settings.sas_token is not None
    return False  # a service account's file is this machine's


def _hide(settings: AWSSettings | AzureSettings, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None:
            object.__setattr__(settings, name, Secret(value))


def _check_endpoint(section: str, endpoint: str | None, *, path: bool) -> None:
    pattern, allowed = r"https?://[^/?#\s]+/?", "http(s)://host[:port]"
    if path:
        pattern, allowed = r"https?://[^/?#\s]+(/[^/?#\s]+)*/?", f"{allowed}[/path]"
    if endpoint is not None and "@" in endpoint:
        raise ConfigurationError(
            f"{section}.endpoint is not allowed: it has a user or a password in it; give credentials as settings"
        )
    if endpoint is not None and not (re.fullmatch(pattern, endpoint) and _has_host(endpoint)):
        raise ConfigurationError(not_allowed(f"{section}.endpoint", endpoint, allowed))


def _has_host(endpoint: str) -> bool:
    """Whether a URL leads to one host and port, whoever reads it."""
    try:
        parts = urlsplit(endpoint)
        return bool(parts.hostname) and parts.port != 0 and endpoint.isprintable() and "\\" not in endpoint
    except ValueError:
        return False


def _check_texts(section: str, settings: AWSSettings | AzureSettings | GCPSettings, *secrets: str) -> None:
    """Refuses empty settings, and secrets that were read together with the end of a line; no value is shown."""
    for each in fields(settings):
        value = getattr(settings, each.name)
        if not isinstance(value, str):
            continue
        if not value.strip().strip("?"):
            raise ConfigurationError(f"{section}.{each.name} is not allowed: it is empty; leave it out instead")
        if each.name in secrets and (value != value.strip() or not value.isprintable()):
            raise ConfigurationError(
                f"{section}.{each.name} is not allowed: it begins or ends with white space, or has a line break in it"
            )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _check_pem_path(settings: Settings, name: str, *, directory: bool) -> None:
    if holds_key(str(getattr(settings, name))):
        object.__setattr__(settings, name, None)  # no dump of local variables shows it
        raise ConfigurationError(key_for_path(name))
    path: Path | None = getattr(settings, name)
    if path is not None and not (_is_file(path) or (directory and _is_directory(path))):
        allowed = "a readable PEM file, or a directory of them" if directory else "a readable PEM file"
        raise ConfigurationError(not_allowed(name, path, allowed))


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _check_areas(section: str, settings: AWSSettings | AzureSettings | GCPSettings) -> None:
    for name, area in (("private", settings.private), ("public", settings.public)):
        if area is not None and (not area.strip("/") or area.startswith("/")):
            raise ConfigurationError(not_allowed(f"{section}.{name}", area, "bucket or bucket/prefix"))
