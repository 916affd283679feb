"""Settings: defaults < `config.toml` < environment variables < arguments, checked before any I/O.

`config.toml` is in the home directory (`DXFLOW_HOME`). Every setting has an environment variable: `DXFLOW_` and the
name in capitals; `DXFLOW_AWS_ENDPOINT` for a setting of `[aws]`, and `DXFLOW_REMOTE_MINIO_ENDPOINT` for one of
`[remotes.minio]`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from dxflow_async.config.clouds import AWSSettings, AzureSettings, GCPSettings, GCSSettings, S3Settings
from dxflow_async.config.environment import warn_of_unknown
from dxflow_async.config.loader import ConfigFile, fields_of, from_environment
from dxflow_async.config.quantities import OptionalSize, Seconds, Size
from dxflow_async.config.remotes import build, check_remotes, load_remotes
from dxflow_async.config.texts import trim_texts
from dxflow_async.config.units import check_units, load_units
from dxflow_async.config.validation import check_file, expanded, not_allowed, to_path
from dxflow_async.exceptions import ConfigurationError

__all__ = [
    "AWSSettings",
    "AzureSettings",
    "GCPSettings",
    "GCSSettings",
    "S3Settings",
    "Settings",
    "config_path",
    "default_home",
]

MiB, GiB = 1 << 20, 1 << 30


def default_home() -> Path:
    """The platform's data directory for this program.

    Raises:
        ConfigurationError: the system does not know the user's home directory.
    """
    from platformdirs import user_data_path

    try:
        return user_data_path("dxflow")
    except RuntimeError as error:
        raise ConfigurationError(
            "home is not known: this user has no home directory; set DXFLOW_HOME to a directory to keep jobs in"
        ) from error


def config_path(home: str | os.PathLike[str] | None = None) -> Path:
    """The configuration file.

    Args:
        home: the home directory. None: `DXFLOW_HOME`, else the platform's.
    """
    given = home or os.environ.get("DXFLOW_HOME")
    return (expanded("home", Path(given)) if given else default_home()) / "config.toml"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a session.

    Sizes are in bytes and times in seconds; both may be given as text, such as `"64MiB"` and `"90s"`.

    Attributes:
        home: the directory of logins, jobs, the embedded hub and its local storage.
        hub: the control plane's URL. None: the stored login's, else the embedded hub.
        embedded: whether a hub may be started inside this process.
        max_concurrency: the most requests in flight to one endpoint. The number that serves best is found.
        max_memory_bytes: the largest number of buffered bytes, over all calls of a session.
        max_bandwidth: bytes a second over all calls of a session. None: unlimited.
        part_size: the smallest part of a large file; parts grow with the file.
        max_attempts: how often a request is tried without progress.
        connect_timeout: how long a connection may take.
        stall_timeout: how long a transfer may make no progress. Nothing limits how long it takes as a whole.
        min_speed: the bytes a second that the peer of each connection has to move, over `stall_timeout`; else the
            request counts as stalled. Time in which this side makes the peer wait does not count. 0: no minimum.
        disk_threads: the largest number of threads that read and write local files.
        journal: whether transfers record in `home` what is done, so that a later process can resume them.
        durable: whether files and journal are on disk before they count as written, so that a loss of power takes
            nothing that was reported as done. Otherwise the operating system decides.
        max_cached_items: the size of the listing cache; the least recently used directories are dropped first.
        transport: the HTTP client: `"fast"` (this library's own), `"aiohttp"`, or `"auto"`, which takes the fast one
            for direct connections and aiohttp for others, such as those through a proxy. Experimental.
        ca_bundle: certificate authorities to trust besides the system's: a PEM file, or a directory of PEM files. Where
            it is unset, the variables `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE` name them, and without
            the first one the `ca_bundle` of an AWS profile in use.
        client_certificate: a PEM file with the certificate that is shown to servers which ask for one, and its chain.
        client_key: a PEM file with its private key, unencrypted; None takes the key from `client_certificate`.
        tls_minimum_version: the lowest version of TLS that is spoken: `"1.2"` or `"1.3"`.
        aws, azure, gcp: how to reach the remotes that are always there.
        sdk_configuration: whether the configuration of the clouds' own SDKs, such as `AWS_PROFILE`, counts as
            configuration under the embedded hub. Otherwise a local directory takes the place of each remote that has no
            settings here.
        remotes: further remotes by name, each the settings of its kind: `{"minio": S3Settings(...)}`. Names are two or
            more letters, digits and `-`, without regard to case.
        units: machines with a dxflow engine, as compute units of this machine's own, by name. They need no account.

    Raises:
        ConfigurationError: naming the setting, its value and what is allowed.

    Example:
        >>> Settings(max_concurrency=8, aws=AWSSettings(region="eu-central-1")).aws.region
        'eu-central-1'
    """

    home: Path = field(default_factory=default_home)
    hub: str | None = None
    embedded: bool = True
    max_concurrency: int = 512
    max_memory_bytes: Size = Size(256 * MiB)
    max_bandwidth: OptionalSize = OptionalSize(None)
    part_size: Size = Size(8 * MiB)
    max_attempts: int = 10
    connect_timeout: Seconds = Seconds(10.0)
    stall_timeout: Seconds = Seconds(60.0)
    min_speed: Size = Size(64)
    disk_threads: int = 4
    journal: bool = True
    durable: bool = True
    max_cached_items: int = 1_000_000
    transport: str = "auto"
    ca_bundle: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    tls_minimum_version: str = "1.2"
    sdk_configuration: bool = True
    aws: S3Settings = field(default_factory=S3Settings)
    azure: AzureSettings = field(default_factory=AzureSettings)
    gcp: GCSSettings = field(default_factory=GCSSettings)
    remotes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    units: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        to_path(self, "home", "ca_bundle", "client_certificate", "client_key")
        trim_texts(self, "hub", *_CHOICES)
        if self.hub is not None and not re.fullmatch(r"https?://[^\s?#]+", self.hub):
            raise ConfigurationError(not_allowed("hub", self.hub, "http(s)://host[:port][/path]"))
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name == "max_bandwidth":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                unit = " bytes" if name in _BYTES else ""
                raise ConfigurationError(not_allowed(name, value, f"{low} to {high}{unit}"))
        if self.max_memory_bytes < 2 * self.part_size:
            raise ConfigurationError(not_allowed("max_memory_bytes", self.max_memory_bytes, "at least two part_size"))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigurationError(not_allowed(name, getattr(self, name), " or ".join(allowed)))
        check_file("ca_bundle", self, "a readable PEM file, or a directory of PEM files", directory=True)
        for name in ("client_certificate", "client_key"):
            check_file(name, self, "a readable PEM file")
        if self.client_key is not None and self.client_certificate is None:
            raise ConfigurationError("client_key needs client_certificate: set both")
        object.__setattr__(self, "remotes", check_remotes(self.remotes))
        object.__setattr__(self, "units", check_units(self.units))

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """Loads settings from `config.toml`, environment variables and arguments; the later source wins.

        Environment variables named `DXFLOW_*` that are not known are logged as warnings.

        Args:
            arguments: settings by name; they win over every other source.

        Raises:
            ConfigurationError: an unknown key in the file or a value that is not valid, with the file and line or the
                variable.
        """
        try:
            return cls._load(arguments)
        except ConfigurationError as error:
            reason = str(error)
        # Not from that error: its frames hold the file, the environment and all other settings, secrets among them.
        raise ConfigurationError(reason)

    @classmethod
    def _load(cls, arguments: dict[str, Any]) -> Self:
        environ = os.environ
        path = config_path(arguments.get("home"))
        home, file = path.parent, ConfigFile.read(path)
        own = [each for each in fields_of(cls) if each.name != "home"]
        top = {name: value for name, value in file.tree.items() if name not in (*_SECTIONS, "remotes", "units")}
        found = file.settings(top, (), own)
        known = {"DXFLOW_HOME", *(f"DXFLOW_{each.name.upper()}" for each in own)}
        found |= {name: value for name, (_, value) in from_environment(environ, "DXFLOW_", "", own).items()}
        values: dict[str, Any] = {name: each.value for name, each in found.items()}
        for name, section in _SECTIONS.items():
            fields = fields_of(section)
            given = file.settings(file.table(name), (name,), fields)
            start = f"DXFLOW_{name.upper()}_"
            given |= {key: value for key, (_, value) in from_environment(environ, start, name.upper(), fields).items()}
            known.update(f"{start}{each.name.upper()}" for each in fields)
            values[name] = build(section, name.upper(), given, f"{file.path}")
        loaded = load_remotes(file, environ, arguments.get("remotes") or ())
        warn_of_unknown(environ.keys() - loaded.variables, known | loaded.known)
        arguments = {**arguments, "home": home, "remotes": {**loaded.settings, **(arguments.get("remotes") or {})}}
        if "units" in file.tree:
            arguments["units"] = {**load_units(file), **(arguments.get("units") or {})}
        try:
            return cls(**{**values, **arguments})
        except ConfigurationError as error:
            # Messages begin with the setting's name.
            name = str(error).partition(" ")[0]
            if name not in found or name in arguments:
                raise
            raise ConfigurationError(f"{found[name].where}: {error}") from None

    def with_remotes(self, remotes: Mapping[str, Any] | None) -> Self:
        """Returns the same settings with further remotes, which replace those of the same name.

        Args:
            remotes: the settings of each remote, by its name; None adds nothing.

        Raises:
            ConfigurationError: a name or a remote's settings are not valid.
        """
        return replace(self, remotes={**self.remotes, **check_remotes(remotes)}) if remotes else self

    @property
    def storage_home(self) -> Path:
        """The directory that takes the place of remotes that are not configured, under the embedded hub."""
        return self.home / "storage"


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("max_concurrency", 1, 1024),
    ("max_memory_bytes", 16 * MiB, 1 << 40),
    ("max_bandwidth", 1024, 1 << 50),
    ("part_size", 5 * MiB, 5 * GiB),
    ("max_attempts", 1, 100),
    ("connect_timeout", 0.1, 3600),
    ("stall_timeout", 0.1, 3600),
    ("min_speed", 0, MiB),
    ("disk_threads", 1, 64),
    ("max_cached_items", 0, 1 << 40),
)

_BYTES = {"max_memory_bytes", "max_bandwidth", "part_size", "min_speed"}

_CHOICES = {"transport": ("auto", "fast", "aiohttp"), "tls_minimum_version": ("1.2", "1.3")}

_SECTIONS: dict[str, type[Any]] = {"aws": S3Settings, "azure": AzureSettings, "gcp": GCSSettings}
