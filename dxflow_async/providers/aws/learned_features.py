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
from dxflow_async.providers.common.capability import Capability
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
        self._etags = Capability()

    @property
    def lacks_etags(self) -> bool:
        """Whether the service answers without ETags."""
        return not self._provider.features.versions

    def see(self, entry: Entry, headers: Mapping[str, str]) -> None:
        """Learns from an answer about an object."""
        self._doubt_again()
        self.see_etag(headers)
        if entry.key == self._stored:
            self._stored = None
            self._see_metadata(entry)

    def _doubt_again(self) -> None:
        """Restores the features whose lack is not believed any more; see `Dialect`."""
        features, dialect = self._provider.features, self._provider.dialect
        if features.versions and features.mtime:
            return
        versions = features.versions or dialect.allows(Ability.ETAGS)
        mtime = features.mtime or dialect.allows(Ability.METADATA)
        if (versions, mtime) != (features.versions, features.mtime):
            self._provider.features = replace(features, versions=versions, mtime=mtime)

    def see_etag(self, headers: Mapping[str, str]) -> None:
        """Notes that answers of the service about objects or parts have no ETag, so that later ones need none.

        One without an ETag may be the answer to another request; a service without ETags gives a second one soon.
        """
        if "etag" not in headers and has_service_headers(headers):
            self.miss_etag()

    def miss_etag(self) -> None:
        """Notes that one answer of the service, which should have an ETag, has none."""
        if self.lacks_etags or not self._etags.failed():
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
