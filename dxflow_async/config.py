"""Settings: defaults < `config.toml` < environment < arguments, checked before any I/O.

`config.toml` lies in the home directory (`DXFLOW_HOME`). Every setting has an environment variable:
`DXFLOW_` and the name in capitals, and for a provider `DXFLOW_AWS_ENDPOINT` and so on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.showing import Secret
from dxflow_async.sources import Sections, from_environment, from_file, not_allowed

__all__ = ["AWSSettings", "AzureSettings", "GCPSettings", "Settings", "default_home", "with_account"]

MiB, GiB = 1 << 20, 1 << 30

_CREDENTIALS = ("secret_key", "connection_string", "account_key", "sas_token")


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
        _hide(self, "secret_key", "session_token")
        _check_endpoint("AWS", self.endpoint, path=False)
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
        _check_endpoint("GCP", self.endpoint, path=False)
        if self.service_file is not None and not self.service_file.is_file():
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
        ca_bundle: a PEM file of certificate authorities to trust besides the system's.
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
    ca_bundle: Path | None = None
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
        if self.ca_bundle is not None and not self.ca_bundle.is_file():
            raise ConfigurationError(not_allowed("ca_bundle", self.ca_bundle, "a readable PEM file"))

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """Settings from `config.toml`, the environment and these arguments, the last one winning.

        Raises:
            ConfigurationError: an unknown key or a bad value, with its file and line or variable.
        """
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

_SECTIONS: Sections = {"AWS": AWSSettings, "AZURE": AzureSettings, "GCP": GCPSettings}


def with_account(settings: Settings, provider: str, given: Mapping[str, Any]) -> Settings:
    """Settings in which a provider is as the account has it at its hub, unless this machine configures it.

    Raises:
        ConfigurationError: what the account has cannot be used; this machine's own credentials are sent to no
            endpoint that a hub names.
    """
    section = provider.lower()
    own = getattr(settings, section)
    if own.configured:
        return settings
    try:
        values = {name: Path(value) if name == "service_file" else value for name, value in given.items()}
        made = type(own)(**values)
    except TypeError as error:
        raise ConfigurationError(f"the account's settings of {provider} cannot be used here: {error}") from error
    if made.endpoint is not None and not any(values.get(name) for name in _CREDENTIALS):
        raise ConfigurationError(
            f"the account's settings of {provider} name the endpoint {made.endpoint} and no credentials, and this "
            f"machine's own are not sent there: set {section}.endpoint here, if you trust it"
        )
    return replace(settings, **{section: made})


def _hide(settings: AWSSettings | AzureSettings, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None:
            object.__setattr__(settings, name, Secret(value))


def _check_endpoint(section: str, endpoint: str | None, *, path: bool) -> None:
    pattern, allowed = r"https?://[^/?#\s]+/?", "http(s)://host[:port]"
    if path:
        pattern, allowed = r"https?://[^/?#\s]+(/[^/?#\s]+)*/?", f"{allowed}[/path]"
    if endpoint is not None and not re.fullmatch(pattern, endpoint):
        raise ConfigurationError(not_allowed(f"{section}.endpoint", endpoint, allowed))


def _check_areas(section: str, settings: AWSSettings | AzureSettings | GCPSettings) -> None:
    for name, area in (("private", settings.private), ("public", settings.public)):
        if area is not None and (not area.strip("/") or area.startswith("/")):
            raise ConfigurationError(not_allowed(f"{section}.{name}", area, "bucket or bucket/prefix"))
