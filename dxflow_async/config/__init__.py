"""Settings: defaults, the configuration file, environment variables and arguments.

A name is imported when it is used: a command that has no settings does not load them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dxflow_async.config.clouds import AWSSettings, AzureSettings, GCPSettings, GCSSettings, S3Settings
    from dxflow_async.config.credentials import AccessKeys, BearerToken, SASToken
    from dxflow_async.config.settings import Settings

__all__ = [
    "AWSSettings",
    "AccessKeys",
    "AzureSettings",
    "BearerToken",
    "GCPSettings",
    "GCSSettings",
    "S3Settings",
    "SASToken",
    "Settings",
]

_HOMES = {
    **dict.fromkeys(("AWSSettings", "AzureSettings", "GCPSettings", "GCSSettings", "S3Settings"), "clouds"),
    **dict.fromkeys(("AccessKeys", "BearerToken", "SASToken"), "credentials"),
    "Settings": "settings",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
