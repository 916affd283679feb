"""The kinds of provider that this installation has: ours, and those that other packages add.

A package adds a kind with an entry point in the group `dxflow_async.providers`: its name is the kind's, its value a
`ProviderKind`. Ours stand in `pyproject.toml` in the same way, and here too, so that they work from a source tree
whose metadata is old or missing.

Nothing is loaded before it is needed: the entry points of other packages are looked up when a kind or a URL scheme is
not one of ours, and a package is imported when its kind is used. A package that is broken, or made for another version
of the contract, stops only those who use it.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dxflow_async.exceptions import ConfigurationError, DxflowError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from dxflow_async.concurrency.threads import Threads
    from dxflow_async.providers.contract import Provider
    from dxflow_async.providers.entries import Entry
    from dxflow_async.providers.http import HTTP

__all__ = [
    "CONTRACT_VERSION",
    "GROUP",
    "ProviderKind",
    "ProviderResources",
    "create_provider",
    "create_stand_in",
    "disk_entries",
    "kind_of_scheme",
    "kind_of_settings",
    "local_provider",
    "provider_kinds",
    "url_schemes",
]

_log = logging.getLogger("dxflow_async.session")

GROUP = "dxflow_async.providers"
"""The entry-point group that kinds are registered in."""

CONTRACT_VERSION = 1
"""The version of the contract that this package speaks. New capabilities default to "no" and do not change it."""

_OURS = {
    "azure": "dxflow_async.providers.azure.kind:KIND",
    "engine": "dxflow_async.providers.engine.kind:KIND",
    "gcs": "dxflow_async.providers.gcp.kind:KIND",
    "https": "dxflow_async.providers.http_source.kind:KIND",
    "local": "dxflow_async.providers.local.kind:KIND",
    "s3": "dxflow_async.providers.aws.kind:KIND",
    "sftp": "dxflow_async.providers.sftp.kind:KIND",
    "unit": "dxflow_async.providers.unit.kind:KIND",
}
"""As in `pyproject.toml`."""

_NOT_CONFIGURED = {"unit"}
"""Kinds that are no remote of the configuration: an account has units."""

_REAL = {
    "AWS": "aws.endpoint, .region or .profile",
    "AZURE": "azure.account, .endpoint or .connection_string",
    "GCP": "gcp.project, .endpoint or .service_file",
}
"""The settings that say that a remote's real service is meant."""

_NAME = re.compile(r"[a-z][a-z0-9-]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+")


@dataclass(frozen=True, slots=True)
class ProviderResources:
    """What a session gives each provider that it makes. The session owns them and closes them.

    Attributes:
        name: the remote's name in capitals, as errors show it: `"AWS"`, `"MINIO"`.
        http: sends HTTP requests, over the session's pool of connections.
        threads: runs blocking calls outside the event loop.
        durable: whether a written object must survive a loss of power when the call returns.
        home: the session's home directory, for what a provider keeps between sessions. It may not exist yet. None:
            nothing can be kept.
    """

    name: str
    http: HTTP
    threads: Threads
    durable: bool = True
    home: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKind:
    """A kind of provider: what it is called, its settings, and how one is made.

    Attributes:
        kind: the value of `type =` in the configuration, such as `"s3"`: small letters, digits and `-`.
        settings: a frozen dataclass whose fields all have defaults. Its `__post_init__` checks them and raises
            `ConfigurationError`. A field with `repr=False` is a secret: no command shows it.
        factory: makes a provider from settings and resources. It does no I/O: see `Provider.connect`.
        schemes: the schemes of URLs that name objects of this kind, such as `("s3",)`.
        from_url: for a kind whose URLs name the host: called with the URL and None, and with the URL and the settings
            of each configured remote of the kind. Returns settings and the path there. The configured settings may
            belong to another host: their credentials are taken only if the host is the same. Raises
            `ConfigurationError` for a URL that is not valid.
        contract_version: the version of the contract that the provider implements.
    """

    kind: str
    settings: type[Any]
    factory: Callable[[Any, ProviderResources], Provider]
    schemes: tuple[str, ...] = ()
    from_url: Callable[[str, Any | None], tuple[Any, str]] | None = None
    contract_version: int = 1


def provider_kinds() -> Mapping[str, ProviderKind]:
    """All kinds of this installation, by name. Looking one up imports the package that has it.

    Looking one up raises `KeyError` when there is none of that name, and `ConfigurationError` when its package is
    broken or speaks another version of the contract. The mapping is made once in a process.

    Returns:
        A mapping that is filled as it is asked.

    Example:
        >>> provider_kinds()["s3"].schemes
        ('s3',)
    """
    return _kinds()


def create_provider(kind_name: str, settings: Any, resources: ProviderResources) -> Provider:
    """Makes a provider.

    Args:
        kind_name: the kind, such as `"s3"`.
        settings: of the kind's settings class.
        resources: the session's.

    Returns:
        The provider, which has done no I/O yet: `Provider.connect` is the first.

    Raises:
        ConfigurationError: there is no such kind, its package cannot be used, or the settings are not valid.

    Example:
        >>> provider = create_provider("s3", S3Settings(endpoint="https://minio.example.org"), resources)
        >>> await provider.connect()
    """
    kinds = _kinds()
    if kind_name not in kinds:
        offered = ", ".join(name for name in kinds if name not in _NOT_CONFIGURED)
        raise ConfigurationError(f"type = {kind_name!r} is not allowed; this installation has {offered}")
    kind = kinds[kind_name]
    if not isinstance(settings, kind.settings):
        needed, given = kind.settings.__name__, type(settings).__name__
        raise ConfigurationError(f"a remote of the type {kind_name} needs {needed}, not {given}")
    try:
        return kind.factory(settings, resources)
    except DxflowError:
        raise
    except Exception as error:
        # Without the error's own words, which may hold settings.
        raise ConfigurationError(
            f"{resources.name} cannot be used: {kinds.origin(kind_name)} could not make the provider "
            f"({type(error).__name__})"
        ) from error


def local_provider(root: str | Path, threads: Threads, *, follow_symlinks: bool = False) -> Provider:
    """Makes a provider of a directory on this machine's disks: its `Provider.local_disk` is set.

    Args:
        root: the directory. It is made when something is first written.
        threads: run the blocking work.
        follow_symlinks: whether links may lead out of `root`, as those among the user's own files do.
    """
    from dxflow_async.providers.local.provider import LocalProvider

    return LocalProvider(root, threads, follow_symlinks=follow_symlinks)


def disk_entries(path: str, *, recursive: bool = False) -> Iterator[Entry]:
    """Yields what is below a directory of this machine's disks, in the order of the names. Blocks.

    It needs no session, no event loop and no thread, and follows symbolic links as the user's own files do.

    Args:
        path: the absolute path of the directory.
        recursive: whether to yield everything below it.

    Raises:
        OSError: it is no directory, or cannot be read.
    """
    from dxflow_async.providers.local.root import Root

    return Root("/", follow_symlinks=True).walk(f"{path.strip('/')}/".lstrip("/"), recursive=recursive)


def create_stand_in(storage_type: str, root: Path, resources: ProviderResources) -> Provider:
    """Makes a local directory that takes the place of a remote that is not configured; a log line says so.

    Args:
        storage_type: `"private"` or `"public"`.
        root: the directory.
        resources: the session's, with the name of the remote.
    """
    kind = _kinds()["local"]
    _log.warning(
        "%s is not configured: its %s files are kept in %s%s; for the real one set %s",
        resources.name,
        storage_type,
        root,
        ", which only this machine can read" if storage_type == "public" else "",
        _REAL.get(resources.name, f"{resources.name}.endpoint"),
    )
    return kind.factory(kind.settings(root=root), resources)


def kind_of_settings(settings: Any) -> ProviderKind:
    """The kind that settings belong to.

    Raises:
        ConfigurationError: they belong to none.
    """
    for kind in _kinds().usable():
        if isinstance(settings, kind.settings):
            return kind
    raise ConfigurationError(f"{type(settings).__name__} are the settings of no provider of this installation")


def kind_of_scheme(scheme: str) -> ProviderKind | None:
    """The kind whose URLs have a scheme, such as `"s3"`; None if no kind has it. Ours come first."""
    return next((kind for kind in _kinds().usable() if scheme in kind.schemes), None)


def url_schemes() -> list[str]:
    """The schemes of the URLs of all kinds that can be used, sorted. Imports the packages that add kinds."""
    return sorted({scheme for kind in _kinds().usable() for scheme in kind.schemes})


@cache
def _kinds() -> _Kinds:
    return _Kinds()


_told: set[str] = set()
"""The broken packages that a log line has named: each is named once in a process."""

_telling = threading.Lock()


def _warn_once(text: str) -> None:
    with _telling:  # several threads may look for a scheme
        if text in _told:
            return
        _told.add(text)
    _log.warning("%s", text)


class _Kinds(Mapping[str, ProviderKind]):
    """Kinds by name, each loaded when it is asked for."""

    def __init__(self) -> None:
        from importlib.metadata import EntryPoint

        self._loaded: dict[str, ProviderKind] = {}
        self._broken: dict[str, str] = {}
        self._ours = {name: EntryPoint(name, value, GROUP) for name, value in _OURS.items()}
        self._others: dict[str, list[EntryPoint]] | None = None

    def __getitem__(self, name: str) -> ProviderKind:
        if name in self._broken:
            raise ConfigurationError(self._broken[name])
        if name not in self._loaded:
            points = self._points(name)
            if not points:
                raise KeyError(name)
            try:
                self._loaded[name] = _load(points)
            except ConfigurationError as error:
                self._broken[name] = str(error)
                raise
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._points(name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._ours, *self._found()}))

    def __len__(self) -> int:
        return len({*self._ours, *self._found()})

    def usable(self) -> Iterator[ProviderKind]:
        """The kinds that can be loaded, ours first. The others are looked for only when ours did not do."""
        for name in self._ours:
            yield self[name]
        for name in sorted(self._found()):
            try:
                yield self[name]
            except ConfigurationError as error:
                _warn_once(str(error))

    def origin(self, name: str) -> str:
        """The package that a kind comes from, as errors show it."""
        return _origin(self._points(name)[0])

    def _points(self, name: str) -> list[EntryPoint]:
        own = self._ours.get(name)
        return [own] if own is not None else self._found().get(name, [])

    def _found(self) -> dict[str, list[EntryPoint]]:
        """What other packages have registered, by name. Nobody replaces a kind of ours."""
        if self._others is None:
            from importlib.metadata import entry_points

            self._others = {}
            for point in entry_points(group=GROUP):
                if point.name not in self._ours:
                    self._others.setdefault(point.name, []).append(point)
                elif not point.value.startswith("dxflow_async."):
                    _warn_once(f"{_origin(point)} registers the type {point.name}, which is built in: it is not used")
        return self._others


def _origin(point: EntryPoint) -> str:
    return f"the package {point.dist.name if point.dist is not None else point.module}"


def _load(points: Sequence[EntryPoint]) -> ProviderKind:
    """Imports the kind of an entry point, which must be the only one of its name.

    Raises:
        ConfigurationError: two packages register it, its package cannot be imported, or it is not valid.
    """
    point, *others = points
    if others:
        origins = " and ".join(sorted(map(_origin, points)))
        raise ConfigurationError(f"the type {point.name} is registered by {origins}; uninstall one of them")
    try:
        kind = point.load()
    except Exception as error:  # a package of somebody else's may raise anything
        reason = f"{point.value} cannot be imported ({type(error).__name__}: {error})"
        raise ConfigurationError(
            f"the type {point.name} cannot be used: {_origin(point)} is broken: {reason}"
        ) from error
    version = getattr(kind, "contract_version", CONTRACT_VERSION)
    if version != CONTRACT_VERSION:
        newer = "upgrade dxflow-async" if isinstance(version, int) and version > CONTRACT_VERSION else "upgrade it"
        raise ConfigurationError(
            f"the type {point.name} cannot be used: {_origin(point)} implements version {version} of the provider "
            f"contract, and this dxflow-async has version {CONTRACT_VERSION}; {newer}"
        )
    if (fault := _fault(kind, point.name)) is not None:
        raise ConfigurationError(f"the type {point.name} cannot be used: {_origin(point)} is broken: {fault}")
    assert isinstance(kind, ProviderKind)
    return kind


def _fault(kind: object, name: str) -> str | None:
    """What is wrong with a registered kind; None if it is valid."""
    if not isinstance(kind, ProviderKind):
        return f"its entry point {name} is no ProviderKind, but {type(kind).__name__}"
    if kind.kind != name or not _NAME.fullmatch(name):
        return (
            f"its entry point {name} has the kind {kind.kind!r}; both must be one name of small letters, digits and -"
        )
    if not (isinstance(kind.settings, type) and is_dataclass(kind.settings)):
        return "its settings are no dataclass"
    required = [each.name for each in fields(kind.settings) if each.default is each.default_factory is MISSING]
    if required:
        return f"its settings have no default for {', '.join(required)}"
    odd = [scheme for scheme in kind.schemes if not _SCHEME.fullmatch(scheme)]
    return f"it has URL schemes that are not valid: {', '.join(odd)}" if odd else None
