"""Learns from the answers of a service whether it tells ETags and keeps metadata, and lowers its features if not.

A service or a proxy that drops them does not say so. An answer about an object that has headers of S3 and no ETag shows
the first. An object that was stored with metadata and is looked up later shows the second. Only metadata beyond the
time of the source is looked up at once, because it would be lost without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.headers import has_service_headers
from dxflow_async.providers.contract import Entry, ObjectOptions
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["LearnedFeatures"]


class LearnedFeatures:
    """What answers show of one service.

    Args:
        provider: at the service. Its features and its dialect are changed.
    """

    def __init__(self, provider: AWSProvider) -> None:
        self._provider = provider
        self._stored: str | None = None  # the key of an object that was stored with metadata

    @property
    def lacks_etags(self) -> bool:
        """Whether the service answers without ETags."""
        return not self._provider.features.versions

    def see(self, entry: Entry, headers: Mapping[str, str]) -> None:
        """Learns from an answer about an object."""
        self.see_etag(headers)
        if entry.key == self._stored:
            self._stored = None
            self._see_metadata(entry)

    def see_etag(self, headers: Mapping[str, str]) -> None:
        """Notes that an answer of the service about an object or a part has no ETag, so that later ones need none."""
        if "etag" in headers or self.lacks_etags or not has_service_headers(headers):
            return
        instead = "objects are told apart by their sizes and times, and reads are not bound to a version"
        self._provider.requests.refused(Ability.ETAGS, "not in the answers", instead)
        self._provider.features = replace(self._provider.features, versions=False)

    async def check_metadata(self, call: Call, key: str, options: ObjectOptions) -> None:
        """Learns from an object that was just stored whether the service keeps metadata.

        Raises:
            UnsupportedError: the service drops metadata beyond the time of the source.
        """
        dialect = self._provider.dialect
        if dialect.amazon or not (options.metadata or options.modified is not None):
            return
        if not dialect.known(Ability.METADATA):
            self._stored = key
            if options.metadata:
                await self._provider.stat(key)
        if options.metadata and not dialect.has(Ability.METADATA):
            raise call.error(
                UnsupportedError, "the object is stored, but this service keeps no metadata; leave the metadata out"
            )

    def _see_metadata(self, entry: Entry) -> None:
        if entry.metadata or entry.mtime is not None:
            self._provider.dialect.accept(Ability.METADATA)
            return
        instead = "objects have the times at which they were stored"
        self._provider.requests.refused(Ability.METADATA, "not in the answers", instead)
        self._provider.features = replace(self._provider.features, mtime=False)
