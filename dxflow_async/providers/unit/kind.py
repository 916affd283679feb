"""Registers the storage of a compute unit as a kind of provider, with its settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import ProviderKind, ProviderResources
from dxflow_async.security.redaction import Secret

__all__ = ["KIND", "UnitSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSettings:
    """The address of a compute unit.

    Attributes:
        unit: its name, as errors show it.
        url: its address, `http://host:port`.
        secret: its RW secret, or its RO secret for reading only.
    """

    unit: str | None = None
    url: str | None = None
    secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.secret is not None:
            object.__setattr__(self, "secret", Secret(self.secret))


def _make(settings: UnitSettings, resources: ProviderResources) -> Provider:
    from dxflow_async.providers.unit.provider import UnitProvider

    if settings.url is None or settings.secret is None:
        raise ConfigurationError(f"{resources.name}.url and {resources.name}.secret go together: set both")
    unit = settings.unit or resources.name.lower()
    return UnitProvider(unit, settings.url, settings.secret, resources.http, resources.threads)


KIND = ProviderKind(kind="unit", settings=UnitSettings, factory=_make)
