"""Areas whose provider looks at objects in another way: with a customer's key, or at one version."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from dxflow_async.exceptions import ConfigurationError, NotFoundError, UnsupportedError
from dxflow_async.models import Item
from dxflow_async.providers.common.confirm import contradiction
from dxflow_async.providers.contract import Encryption
from dxflow_async.providers.http import Call
from dxflow_async.storage.area import Area
from dxflow_async.transfer.planning.cursors import Cursors
from dxflow_async.transfer.request import request
from dxflow_async.transfer.resources import Resources

__all__ = ["list_versions", "reading_area", "unsupported"]

_NO_VERSIONS = "this storage keeps no versions"


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
            reason = _NO_VERSIONS
        elif reason is None:
            provider = provider.at_version(version)
    if reason is not None:
        raise unsupported(area, "read", path, reason)
    return replace(area, provider=provider)


async def list_versions(resources: Resources, area: Area, path: str, *, recursive: bool) -> list[Item]:
    """Lists all versions below a directory, or those of one object.

    Raises:
        UnsupportedError: the storage keeps no versions.
        NotFoundError: there is no such directory or object.
    """
    provider, key = area.provider, area.key(path)
    if not provider.features.object_versions:
        raise unsupported(area, "list", path, _NO_VERSIONS)
    bucket = "/" not in key
    prefix, one = (f"{key}/" if bucket else key), not bucket and not key.endswith("/")
    items: list[Item] = []
    cursor: Any = None
    cursors = Cursors()
    while True:
        page = await request(
            partial(provider.list_versions, prefix, recursive=recursive and not one, cursor=cursor),
            provider,
            limits=resources.limits,
            policy=resources.policy,
            kind="list",
        )
        for entry in page.entries:
            if entry.key != prefix if not one else entry.key == key:
                items.append(area.item(entry))
            elif one and entry.key == f"{key}/":
                return await list_versions(resources, area, f"{path}/", recursive=recursive)
        if page.cursor is None or (one and page.entries and page.entries[-1].key > key):
            break
        cursor = page.cursor
        if cursors.repeat(cursor):
            raise contradiction(Call(provider.name, "list", path), "the listing goes in a circle")
    if not items and one:
        text = f"{area.name} list of {path} failed: there is no such object or directory; check the path"
        raise NotFoundError(text, provider=area.name, operation="list", path=path)
    return items


def unsupported(area: Area, operation: str, path: str, reason: str) -> UnsupportedError:
    """Returns the error for a call that an area cannot do."""
    text = f"{area.name} {operation} of {path} failed: {reason}"
    return UnsupportedError(text, provider=area.name, operation=operation, path=path)
