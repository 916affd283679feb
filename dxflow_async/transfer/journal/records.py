"""What a job's file tells: the call that was made, its items, and the uploads they have begun."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from dxflow_async.providers.contract import PartReceipt

__all__ = ["AreaId", "BegunUpload", "ItemId", "JobSpec"]

_OPERATIONS = {"upload", "download", "upload_many", "download_many", "copy", "move", "sync"}


class ItemId(NamedTuple):
    """An item: where it comes from, and where it goes, as results show it; local paths are absolute."""

    source: str
    destination: str


class AreaId(NamedTuple):
    """A storage area: what locations in it start with, its storage type, and which service or directory it is."""

    location: str
    storage_type: str
    place: str


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a call was asked to do, in plain JSON types, without any secret.

    Attributes:
        operation: `"upload"`, `"copy"`, ...
        source, destination: as users wrote them; None where `pairs` name them.
        arguments: the others.
        places: where source and destination lie, None for this machine's disks: it goes on there only.
        account: the hub that the account is at; None: the clouds directly.
        directory: relative local paths start there.
    """

    operation: str
    source: str | None
    destination: str | None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[AreaId | None, AreaId | None] = (None, None)
    account: str | None = None
    directory: str = field(default_factory=os.getcwd)

    def to_json(self) -> str:
        """For the file."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` gave.

        Raises:
            ValueError, TypeError, KeyError: that was something else.
        """
        values = json.loads(text)
        start, end = (None if each is None else AreaId(*each) for each in values.pop("places"))
        asked = cls(**values, places=(start, end))
        asked._check()
        return asked

    def _check(self) -> None:
        texts = [self.operation, self.directory, *(text for place in self.places if place for text in place)]
        texts += [each for each in (self.source, self.destination, self.account) if each is not None]
        if not all(isinstance(each, str) for each in texts) or (self.source is None) != (self.destination is None):
            raise ValueError("what was asked for is not text")
        if not isinstance(self.arguments, dict) or self.operation not in _OPERATIONS:
            raise ValueError("what was asked for is no call")


@dataclass(frozen=True, slots=True)
class BegunUpload:
    """An upload that is neither finished nor removed.

    Attributes:
        key, id: the provider's names of it.
        version: of the source.
        size, part_size: in bytes.
        receipts: of the parts that it has.
    """

    key: str
    id: str
    version: str | None
    size: int
    part_size: int
    receipts: Sequence[PartReceipt] = ()
