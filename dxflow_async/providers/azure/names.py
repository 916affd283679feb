"""Names of containers and blobs, and those that Azure refuses or would change."""

from __future__ import annotations

import re

from dxflow_async.exceptions import UnsafePathError
from dxflow_async.providers.http import Call

__all__ = ["check_container", "split_key"]

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTAINER = re.compile(r"\$(root|web|logs|blobchangefeed)|(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_OTHERWISE = re.compile(r"\.(/|\Z)|\\")


def split_key(call: Call, key: str) -> tuple[str, str]:
    """Splits a key into container and blob name.

    Raises:
        UnsafePathError: the service would refuse the names or change them.
    """
    container, _, name = key.partition("/")
    check_container(call, container)
    if ("." in name or "\\" in name) and _OTHERWISE.search(name):
        raise call.error(
            UnsafePathError, "Azure does not keep a backslash, nor a dot at the end of a name's segment; rename it"
        )
    return container, name


def check_container(call: Call, container: str) -> None:
    """Checks the name of a container.

    Raises:
        UnsafePathError: the name is not allowed.
    """
    if not _CONTAINER.fullmatch(container):
        raise call.error(
            UnsafePathError,
            f"{container!r} is no container's name: 3 to 63 small letters, digits and single hyphens between them",
        )
