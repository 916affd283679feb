"""Finds out whether temporary objects can be composed and removed in a bucket, before any is stored there.

A large object is sent as temporary objects, which are composed and then deleted. Credentials that may only create
objects can neither compose nor delete them, and a retention policy or a default hold keeps them for years.
Source: https://cloud.google.com/storage/docs/json_api/v1/buckets/testIamPermissions, which needs no right itself, and
https://cloud.google.com/storage/docs/parallel-composite-uploads#deletion-costs
"""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.exceptions import NetworkError, StallTimeoutError, StorageError, ThrottledError
from dxflow_async.providers.gcp.requests import Requests
from dxflow_async.providers.http import Call

__all__ = ["BucketRules"]

_NEEDED = ("storage.objects.get", "storage.objects.delete")
_ANY = ("storage.buckets.get", "storage.objects.create", "storage.objects.delete", "storage.objects.get")
_MAX_BUCKETS = 1000


class BucketRules:
    """Remembers for each bucket what rules out temporary objects.

    Args:
        requests: sends the requests.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._obstacles: dict[str, str] = {}

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The buckets in which large objects are sent in one request, and why."""
        text = "large objects go in one upload, without temporary parts: {reason}"
        return [(f"bucket {name}", text.format(reason=why)) for name, why in self._obstacles.items() if why]

    async def obstacle(self, bucket: str) -> str:
        """Returns what rules out temporary objects in a bucket; nothing if they are possible, or if nothing is known.

        The first call for a bucket makes two requests.
        """
        known = self._obstacles.get(bucket)
        if known is None:
            known = await self._missing_right(bucket) or await self._retention(bucket)
            if len(self._obstacles) >= _MAX_BUCKETS:
                self._obstacles.clear()
            self._obstacles[bucket] = known
        return known

    async def permits_anything(self, bucket: str) -> bool:
        """Returns whether the credentials have a right in a bucket: it exists then, even if it may not be listed."""
        document = await self._permissions(bucket, _ANY) or {}
        return bool(document.get("permissions"))

    def note(self, bucket: str, reason: str) -> None:
        """Records that temporary objects could not be composed or removed."""
        self._obstacles[bucket] = reason

    async def _missing_right(self, bucket: str) -> str:
        document = await self._permissions(bucket, _NEEDED)
        if document is None:
            return ""
        granted = document.get("permissions", ())
        missing = [name for name in _NEEDED if name not in granted] if isinstance(granted, (list, tuple)) else []
        return f"the credentials lack {' and '.join(missing)}" if missing else ""

    async def _permissions(self, bucket: str, names: Sequence[str]) -> dict[str, object] | None:
        query = "&".join([f"permissions={name}" for name in names])
        path = f"/storage/v1/b/{bucket}/iam/testPermissions?{query}"
        return await self._document(bucket, path, "storage#testIamPermissionsResponse")

    async def _retention(self, bucket: str) -> str:
        """Reading a bucket's metadata needs a right of its own; without it nothing is known."""
        path = f"/storage/v1/b/{bucket}?fields=kind,retentionPolicy,defaultEventBasedHold"
        document = await self._document(bucket, path, "storage#bucket") or {}
        if document.get("retentionPolicy"):
            return "the bucket has a retention policy"
        return "the bucket puts a hold on new objects" if document.get("defaultEventBasedHold") is True else ""

    async def _document(self, bucket: str, path: str, kind: str) -> dict[str, object] | None:
        """Returns an answer of the service; None if it refuses the request or answers otherwise."""
        call = Call(self._requests.remote, "look up", f"/{bucket}")
        try:
            return await self._requests.document(call, await self._requests.send(call, "GET", path), kind)
        except (NetworkError, StallTimeoutError, ThrottledError):
            raise
        except StorageError:
            return None
