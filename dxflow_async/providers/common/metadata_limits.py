"""The limit on the size of user metadata, checked before anything is sent.

Services refuse metadata that is too large with a message that names no entry, some only after the whole body was sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from dxflow_async.exceptions import StorageError, UnsupportedError
from dxflow_async.providers.http import Call

__all__ = ["check_metadata_size", "twice"]


def check_metadata_size(call: Call, metadata: Mapping[str, str], max_size: int, service: str) -> None:
    """Checks that a service can keep metadata.

    Args:
        call: the storage call, for errors.
        metadata: names and values as they are stored.
        max_size: the most bytes of all names and values together, in UTF-8.
        service: the service's name, for errors.

    Raises:
        UnsupportedError: the metadata is larger; the message names the largest entry.
    """
    if not metadata:
        return
    sizes = {name: len(name.encode()) + len(value.encode()) for name, value in metadata.items()}
    total = sum(sizes.values())
    if total > max_size:
        largest = max(sizes, key=sizes.__getitem__)
        raise call.error(
            UnsupportedError,
            f"metadata {largest!r:.100} cannot be kept: names and values have {total} bytes together, and {service} "
            f"keeps {max_size} bytes; shorten it (it has {sizes[largest]} of them), or leave some out",
        )


def twice(call: Call, name: str, service: str) -> StorageError:
    """Returns the error of a name that differs from another one only in case, at a service that ignores the case."""
    return call.error(
        UnsupportedError,
        f"metadata {name!r:.100} cannot be kept: another name differs from it only in case, which {service} ignores; "
        "rename it",
    )
