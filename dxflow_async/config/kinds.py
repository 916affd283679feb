"""The settings classes of remotes, by the value of `type =`.

The built-in clouds are known here. Other kinds are registered by provider packages (see
`dxflow_async.providers.registry`), which this package never imports: the registry is looked up by its name, at run
time, and only when a kind or a scheme is not one of the built-in ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from dxflow_async.config.clouds import AzureSettings, GCSSettings, S3Settings
from dxflow_async.exceptions import ConfigurationError

__all__ = [
    "UnusableSettings",
    "check_is_settings",
    "is_scheme",
    "kind_name",
    "kind_names",
    "settings_class",
    "unusable",
]

_CLOUDS: Mapping[str, type[Any]] = {"azure": AzureSettings, "gcs": GCSSettings, "s3": S3Settings}

_NOT_REMOTES = {"unit"}
"""Kinds that have locations of their own, and no section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableSettings:
    """Stands for the settings of a remote whose provider package cannot be used; using the remote is an error.

    Attributes:
        kind: the type of the remote.
        reason: why it cannot be used.
    """

    kind: str
    reason: str


def kind_names() -> list[str]:
    """The types that a remote may have, sorted."""
    return sorted(name for name in _registry().provider_kinds() if name not in _NOT_REMOTES)


def settings_class(kind: str) -> type[Any]:
    """The settings class of a kind.

    Raises:
        ConfigurationError: there is no such kind, or the package that adds it cannot be used.
    """
    if kind in _CLOUDS:
        return _CLOUDS[kind]
    kinds = _registry().provider_kinds()
    if kind in _NOT_REMOTES or kind not in kinds:
        raise ConfigurationError(f"type = {kind!r} is not allowed; it must be {_one_of(kind_names())}")
    cls: type[Any] = kinds[kind].settings
    return cls


def unusable(kind: str) -> UnusableSettings | None:
    """Returns what stands for the settings of a kind whose package is installed and cannot be used, else None."""
    if kind in _CLOUDS or kind in _NOT_REMOTES:
        return None
    kinds = _registry().provider_kinds()
    if kind in kinds:
        try:
            kinds[kind]
        except ConfigurationError as error:
            return UnusableSettings(kind=kind, reason=str(error))
    return None


def kind_name(settings: Any) -> str:
    """The kind that settings belong to, such as `"s3"`.

    Raises:
        ConfigurationError: they belong to none.
    """
    for name, cls in _CLOUDS.items():
        if isinstance(settings, cls):
            return name
    if isinstance(settings, UnusableSettings):
        return settings.kind
    return str(_registry().kind_of_settings(settings).kind)


def check_is_settings(name: str, settings: Any) -> None:
    """Checks that an object holds the settings of some kind.

    Raises:
        ConfigurationError: it does not.
    """
    try:
        kind = kind_name(settings)
    except ConfigurationError:
        kind = None
    if kind is None or kind in _NOT_REMOTES:
        raise ConfigurationError(
            f"remotes[{name!r}] is not allowed: it must be the settings of a provider, such as S3Settings(...), "
            f"not {type(settings).__name__}"
        )


def is_scheme(name: str) -> bool:
    """Whether URLs of some kind of provider have this scheme."""
    return _registry().kind_of_scheme(name) is not None


def _registry() -> Any:
    return import_module("dxflow_async.providers.registry")


def _one_of(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
