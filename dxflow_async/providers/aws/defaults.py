"""What new objects are stored with where a call does not say it: by the settings, and by the sources of copies.

A copy is stored in the storage class of its source. Not every bucket takes every class: directory buckets of Amazon
have one of their own, and other services report classes that only their rules give to objects. Such a copy is stored
again, in the default class.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import Encryption, Entry, ObjectOptions
from dxflow_async.security.redaction import printable

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["default_options", "in_source_class"]

_log = logging.getLogger("dxflow_async.providers.aws")

T = TypeVar("T")


def default_options(settings: AWSSettings) -> ObjectOptions | None:
    """Returns what the settings say about all new objects; None if they say nothing."""
    encryption = None
    if settings.encryption is not None:
        kms = settings.encryption == "aws:kms"
        encryption = Encryption.managed(settings.kms_key) if kms else Encryption.service()
    if settings.storage_class is None and encryption is None:
        return None
    return ObjectOptions(storage_class=settings.storage_class, encryption=encryption)


def in_source_class(
    provider: AWSProvider,
    key: str,
    options: ObjectOptions,
    store: Callable[[ObjectOptions], Coroutine[Any, Any, T]],
    source: Entry | None = None,
) -> Coroutine[Any, Any, T]:
    """Stores an object with complete options; without the source's class, if the bucket refuses that.

    Args:
        provider: stores the object.
        key: its key.
        options: the options of the call.
        store: stores it with the options that it is given.
        source: the object that the service copies.
    """
    complete = options.with_defaults(provider.defaults, source)
    kind, named = complete.storage_class, provider.defaults and provider.defaults.storage_class
    if kind is None or kind in (options.storage_class, named):
        return store(complete)
    return _or_in_default_class(provider, key, complete, kind, store)


async def _or_in_default_class(
    provider: AWSProvider,
    key: str,
    complete: ObjectOptions,
    kind: str,
    store: Callable[[ObjectOptions], Coroutine[Any, Any, T]],
) -> T:
    bucket, without = key.partition("/")[0], replace(complete, storage_class=None)
    if (bucket, kind) in provider.refused_classes:
        return await store(without)
    try:
        return await store(complete)
    except StorageError as error:
        if error.status not in (400, 501) or "storageclass" not in f"{error.code} {error}".lower().replace(" ", ""):
            raise
        stored = await store(without)
        _log.warning("%s; copies there are stored in the default class", printable(str(error)))
        provider.refused_classes.add((bucket, kind))
        return stored
