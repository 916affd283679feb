"""Areas whose provider looks at objects in another way: with a customer's key, or at one version."""

from __future__ import annotations

from dataclasses import replace

from dxflow_async.exceptions import ConfigurationError, UnsupportedError
from dxflow_async.providers.contract import Encryption
from dxflow_async.storage.area import Area

__all__ = ["reading_area"]


def reading_area(area: Area, path: str, version: str | None, encryption: Encryption | None) -> Area:
    """Returns the area for a call that reads.

    Raises:
        ConfigurationError: the encryption is not by a customer's key; every other one needs no argument.
        UnsupportedError: the storage keeps no versions, or takes no customer's keys.
    """
    if version is None and encryption is None:
        return area
    provider, reason = area.provider, None
    if encryption is not None:
        if encryption.kind != "customer":
            raise ConfigurationError("encryption takes Encryption.customer(...); other encryptions need no argument")
        if "customer" not in provider.features.encryptions:
            reason = "this storage takes no customer's keys"
        else:
            provider = provider.with_customer_key(encryption)
    if version is not None:
        if not provider.features.object_versions:
            reason = "this storage keeps no versions"
        elif reason is None:
            provider = provider.at_version(version)
    if reason is not None:
        raise UnsupportedError(
            f"{area.name} read of {path} refused: {reason}", provider=area.name, operation="read", path=path
        )
    return replace(area, provider=provider)
