"""What a job file stores: the call that was made, its items, and the uploads it has begun."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from dxflow_async.config.working_directory import known_working_directory
from dxflow_async.providers.contract import PartReceipt

__all__ = ["AreaId", "BegunUpload", "ItemId", "JobSpec"]

_OPERATIONS = {"upload", "download", "upload_many", "download_many", "copy", "move", "sync"}


class ItemId(NamedTuple):
    """The source and destination of an item, as results show them. Local paths are absolute."""

    source: str
    destination: str


class AreaId(NamedTuple):
    """A storage area: the prefix of locations in it, its storage type, and the service or directory it lies in."""

    location: str
    storage_type: str
    place: str


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The call that a job makes, in plain JSON types and without any secret.

    Attributes:
        operation: `"upload"`, `"copy"`, ...
        source, destination: as users wrote them; None if the items were given one by one.
        arguments: the call's other arguments.
        places: the areas of source and destination; None for this machine's disks. A job resumes only with the same
            areas.
        account: the hub that the account is at; None without a hub.
        directory: the directory that relative local paths start from; empty if it was removed.
    """

    operation: str
    source: str | None
    destination: str | None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[AreaId | None, AreaId | None] = (None, None)
    account: str | None = None
    directory: str = field(default_factory=known_working_directory)

    def to_json(self) -> str:
        """Returns the text that is stored."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the call that `to_json` stored.

        Raises:
            ValueError, TypeError, KeyError: the text is something else.
        """
        values = json.loads(text)
        start, end = (None if each is None else AreaId(*each) for each in values.pop("places"))
        spec = cls(**values, places=(start, end))
        spec._check()
        return spec

    def _check(self) -> None:
        texts = [self.operation, self.directory, *(text for place in self.places if place for text in place)]
        texts += [each for each in (self.source, self.destination, self.account) if each is not None]
        if not all(isinstance(each, str) for each in texts) or (self.source is None) != (self.destination is None):
            raise ValueError("the call has values that are not text")
        if not isinstance(self.arguments, dict) or self.operation not in _OPERATIONS:
            raise ValueError("the call is unknown")


@dataclass(frozen=True, slots=True)
class BegunUpload:
    """An unfinished upload.

    Attributes:
        key, id: the provider's names of the upload.
        version: the version of the source.
        size, part_size: in bytes.
        receipts: of the parts that are stored.
    """

    key: str
    id: str
    version: str | None
    size: int
    part_size: int
    receipts: Sequence[PartReceipt] = ()
