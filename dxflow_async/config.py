"""Settings: defaults < `config.toml` < environment < arguments, checked before any I/O.

`config.toml` lies in the home directory (`DXFLOW_HOME`). Every setting has an environment variable:
`DXFLOW_` and the name in capitals, and for a provider `DXFLOW_AWS_ENDPOINT` and so on.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Self

from dxflow_async.exceptions import ConfigurationError

__all__ = ["AWSSettings", "Settings", "default_home", "parse_size", "warn_when_readable"]

_log = logging.getLogger("dxflow_async.config")

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
        if self.endpoint is not None and not re.fullmatch(r"https?://[^/?#\s]+/?", self.endpoint):
            raise ConfigurationError(_bad("AWS.endpoint", self.endpoint, "http(s)://host[:port]"))
        if self.addressing not in ("auto", "path", "virtual"):
            raise ConfigurationError(_bad("AWS.addressing", self.addressing, "auto, path or virtual"))
        if (self.access_key is None) != (self.secret_key is None):
            raise ConfigurationError("AWS.access_key and AWS.secret_key go together: set both or neither")
        for name in ("private", "public"):
            area = getattr(self, name)
            if area is not None and (not area.strip("/") or area.startswith("/")):
                raise ConfigurationError(_bad(f"AWS.{name}", area, "bucket or bucket/prefix"))

    @property
    def configured(self) -> bool:
        """Whether anything says that the real service is meant."""
        return self != type(self)()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Sizes are bytes, times are seconds.

    Attributes:
        home: where logins, the embedded hub and its local storage are kept.
        hub: the control plane's URL; None uses the stored login's, else the embedded hub.
        embedded: whether a hub inside this process may be started.
        max_concurrency: requests in flight per endpoint, at most; it adapts below that.
        max_memory_bytes: buffered bytes, over all calls of a session.
        max_bandwidth: bytes a second over all calls of a session; None is unlimited.
        part_size: of large files, at least; it grows with the file.
        max_attempts: tries of one request without progress.
        connect_timeout, stall_timeout: never a limit on the whole of a transfer.
        disk_threads: threads that read and write local files.
        max_cached_items: listing cache; the directories used longest ago go first.
        ca_bundle: a PEM file of certificate authorities to trust besides the system's.
        aws: how to reach S3.

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
    max_attempts: int = 6
    connect_timeout: float = 10.0
    stall_timeout: float = 60.0
    disk_threads: int = 4
    max_cached_items: int = 1_000_000
    ca_bundle: Path | None = None
    aws: AWSSettings = field(default_factory=AWSSettings)

    def __post_init__(self) -> None:
        if self.hub is not None and not re.fullmatch(r"https?://[^\s?#]+", self.hub):
            raise ConfigurationError(_bad("hub", self.hub, "http(s)://host[:port][/path]"))
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name == "max_bandwidth":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigurationError(_bad(name, value, f"{low} to {high}"))
        if self.max_memory_bytes < 2 * self.part_size:
            raise ConfigurationError(_bad("max_memory_bytes", self.max_memory_bytes, "at least two part_size"))
        if self.ca_bundle is not None and not self.ca_bundle.is_file():
            raise ConfigurationError(_bad("ca_bundle", self.ca_bundle, "a readable PEM file"))

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """Settings from `config.toml`, the environment and these arguments, the last one winning.

        Raises:
            ConfigurationError: an unknown key or a bad value, with its file and line or variable.
        """
        home = Path(arguments.get("home") or os.environ.get("DXFLOW_HOME") or default_home())
        found = {**_from_file(home / "config.toml"), **_from_environment(os.environ)}
        top = {name: each.value for name, each in found.items() if "." not in name and name not in arguments}
        aws = {name.removeprefix("AWS."): each.value for name, each in found.items() if "." in name}
        try:
            return cls(**{"aws": AWSSettings(**aws), **top, **arguments, "home": home})
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


class _Found(NamedTuple):
    """A setting's value, and the file and line or the variable it is from."""

    value: Any
    where: str


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


def parse_size(text: str) -> int:
    """Bytes from `"8MiB"`, `"1.5GiB"`, `"64k"` or a plain number; a bare k, M, G or T is binary.

    Raises:
        ValueError: not a size.

    Example:
        >>> parse_size("8MiB"), parse_size("64k"), parse_size("10MB")
        (8388608, 65536, 10000000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kKMGT])(i?[bB]?)|[bB])?\s*", text)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    number, letter, suffix = match.groups()
    power = 0 if letter is None else " KMGT".index(letter.upper())
    base = 1000 if suffix in ("B", "b") else 1024
    return int(Fraction(number) * base**power)


def _boolean(text: str) -> bool:
    try:
        return {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }[text.strip().lower()]
    except KeyError:
        raise ValueError("not true or false") from None


_SIZES = {"max_memory_bytes", "max_bandwidth", "part_size"}
_SECRETS = {"secret_key", "session_token"}


def _parser(name: str, kind: str) -> tuple[Callable[[str], Any], str]:
    """How the text of a setting becomes its value, and what is allowed."""
    if name in _SIZES:
        return parse_size, "a size such as 8MiB"
    if kind.startswith("bool"):
        return _boolean, "true or false"
    if kind.startswith("int"):
        return int, "a whole number"
    if kind.startswith("float"):
        return float, "a number of seconds"
    if kind.startswith("Path"):
        return Path, "a path"
    return str, "text"


def _convert(where: str, prefix: str, name: str, kind: str, value: Any) -> Any:
    parse, allowed = _parser(name, kind)
    fits = isinstance(value, str) or isinstance(value, bool) == (parse is _boolean)
    if fits and isinstance(value, bool | int | float | str) and not (isinstance(value, float) and parse is int):
        try:
            return value if isinstance(value, bool) else parse(str(value))
        except ValueError:
            pass
    shown = "***" if name in _SECRETS else value
    raise ConfigurationError(f"{where}: {_bad(prefix + name, shown, allowed)}")


def _kinds(cls: type) -> dict[str, str]:
    return {each.name: str(each.type) for each in dataclasses.fields(cls) if each.name not in ("aws", "home")}


def _from_file(path: Path) -> dict[str, _Found]:
    """The settings of a TOML file, those of `[aws]` named `AWS.x`; nothing when there is no file."""
    try:
        text = path.read_text("utf-8")
        tree = tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    section = tree.pop("aws", {})
    if not isinstance(section, dict):
        raise ConfigurationError(f"{path}:{_line(text, 'aws')}: aws must be a table, [aws]")
    if _SECRETS & section.keys():
        warn_when_readable(path)
    return {
        **_checked(path, text, tree, _kinds(Settings), ""),
        **_checked(path, text, section, _kinds(AWSSettings), "AWS."),
    }


def _checked(path: Path, text: str, tree: dict[str, Any], kinds: dict[str, str], prefix: str) -> dict[str, _Found]:
    found = {}
    for name, value in tree.items():
        where = f"{path}:{_line(text, name)}"
        if name not in kinds:
            raise ConfigurationError(f"{where}: unknown setting {prefix}{name}; known are {', '.join(kinds)}")
        found[prefix + name] = _Found(_convert(where, prefix, name, kinds[name], value), where)
    return found


def _line(text: str, key: str) -> int:
    """The line a key stands in (tomllib does not tell); 1 where it cannot be found."""
    pattern = re.compile(rf"\s*\[?\[?\s*[\"']?{re.escape(key)}[\"']?\s*[]=.]")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Found]:
    known = {f"DXFLOW_{name.upper()}": ("", name, kind) for name, kind in _kinds(Settings).items()}
    known |= {f"DXFLOW_AWS_{name.upper()}": ("AWS.", name, kind) for name, kind in _kinds(AWSSettings).items()}
    for variable in environ:
        if variable.startswith("DXFLOW_") and variable not in (*known, "DXFLOW_HOME"):
            listed = ", ".join(sorted((*known, "DXFLOW_HOME")))
            raise ConfigurationError(f"environment: unknown variable {variable}; known are {listed}")
    return {
        prefix + name: _Found(
            _convert(f"environment: {variable}", prefix, name, kind, environ[variable]), f"environment: {variable}"
        )
        for variable, (prefix, name, kind) in known.items()
        if variable in environ
    }


def warn_when_readable(path: Path) -> None:
    """A file of secrets that others may read is worth a line in the log."""
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("%s holds secrets and others may read it: chmod 600 %s", path, path)


def _bad(name: str, value: object, allowed: str) -> str:
    return f"{name} = {str(value)!r} is not allowed; it must be {allowed}"
