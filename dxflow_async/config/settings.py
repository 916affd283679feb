"""Settings: defaults < `config.toml` < environment < arguments, checked before any I/O.

`config.toml` lies in the home directory (`DXFLOW_HOME`). Every setting has an environment variable:
`DXFLOW_` and the name in capitals, and for a provider `DXFLOW_AWS_ENDPOINT` and so on.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from dxflow_async.config.clouds import AWSSettings, AzureSettings, GCPSettings, GCSSettings, S3Settings
from dxflow_async.config.loader import Sections, from_environment, from_file
from dxflow_async.config.validation import check_pem_path, not_allowed, to_path
from dxflow_async.exceptions import ConfigurationError

__all__ = [
    "AWSSettings",
    "AzureSettings",
    "GCPSettings",
    "GCSSettings",
    "S3Settings",
    "Settings",
    "default_home",
]

MiB, GiB = 1 << 20, 1 << 30


def default_home() -> Path:
    """The platform's data directory for this program."""
    from platformdirs import user_data_path

    return user_data_path("dxflow")


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
    aws: S3Settings = field(default_factory=S3Settings)
    azure: AzureSettings = field(default_factory=AzureSettings)
    gcp: GCSSettings = field(default_factory=GCSSettings)

    def __post_init__(self) -> None:
        to_path(self, "home", "ca_bundle", "client_certificate", "client_key")
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
            check_pem_path(name, self, directory=name == "ca_bundle")
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

_SECTIONS: Sections = {"AWS": S3Settings, "AZURE": AzureSettings, "GCP": GCSSettings}
