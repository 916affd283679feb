"""Which providers there are: ours, and those that other packages register.

A package adds one with the entry point group `dxflow_async.providers`: the name is the provider's in capitals, the
object a callable `(settings: Settings, http: HTTP, threads: Threads) -> Provider`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.local.provider import LocalProvider

__all__ = ["GROUP", "create", "create_stand_in"]

_log = logging.getLogger("dxflow_async.session")

_REAL = {
    "AWS": "aws.endpoint, .region or .profile",
    "AZURE": "azure.account, .endpoint or .connection_string",
    "GCP": "gcp.project, .endpoint or .service_file",
}
"""What tells that a provider's real service is meant, where nothing else is to be said."""

GROUP = "dxflow_async.providers"

Factory = Callable[[Settings, HTTP, Threads], Provider]


def create(name: str, settings: Settings, http: HTTP, threads: Threads) -> Provider:
    """The provider of that name.

    Raises:
        ConfigurationError: there is none.
    """
    factory = _OURS.get(name)
    if factory is None:
        from importlib.metadata import entry_points

        found = list(entry_points(group=GROUP, name=name))
        if not found:
            known = sorted({*_OURS, *(point.name for point in entry_points(group=GROUP))})
            raise ConfigurationError(f"provider = {name!r} is not allowed; this installation has {', '.join(known)}")
        factory = found[0].load()
    return factory(settings, http, threads)


def create_stand_in(name: str, storage_type: str, settings: Settings, threads: Threads) -> Provider:
    """A local directory in the place of a provider that is not configured; the log tells."""
    root = settings.storage_home / name.lower() / storage_type
    _log.warning(
        "%s is not configured: its %s files are kept in %s%s; for the real one set %s",
        name,
        storage_type,
        root,
        ", which only this machine can read" if storage_type == "public" else "",
        _REAL[name],
    )
    return LocalProvider(root, threads)


def _aws(settings: Settings, http: HTTP, threads: Threads) -> Provider:
    from dxflow_async.providers.aws.provider import AWSProvider

    return AWSProvider(settings.aws, http, threads)


def _azure(settings: Settings, http: HTTP, threads: Threads) -> Provider:
    from dxflow_async.providers.azure.provider import AzureProvider

    return AzureProvider(settings.azure, http, threads)


def _gcp(settings: Settings, http: HTTP, threads: Threads) -> Provider:
    from dxflow_async.providers.gcp.provider import GCPProvider

    return GCPProvider(settings.gcp, http, threads)


_OURS: dict[str, Factory] = {"AWS": _aws, "AZURE": _azure, "GCP": _gcp}
