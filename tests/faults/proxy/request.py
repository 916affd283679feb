"""A request as a proxy sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tests.faults.proxy.relay import length_of

__all__ = ["Request"]

_ABOUT = re.compile(r"[?&](?!alt=media|generation=|sv=|sig=)")
"""A query that asks for something else than an object's bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request's line and headers (names in small letters), and the size of its body."""

    method: str
    target: str
    size: int
    headers: Mapping[str, str]

    @classmethod
    def of(cls, head: bytes) -> Self:
        """What a head says."""
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        return cls(method, target, length_of(head) or 0, {name.lower(): value.strip() for name, _, value in pairs})

    @property
    def moves_object(self) -> bool:
        """Whether an object's bytes are in its body, or in the answer's."""
        if "/storage/" in self.target and "/storage/v1/" not in self.target:  # a unit's
            return self.size > 0 if "/upload/" in self.target else "/storage/download/" in self.target
        if self.method == "PUT":
            return self.size > 0 and "comp=blocklist" not in self.target
        if self.method == "POST":
            return self.size > sum(self.margins) > 0
        return self.method == "GET" and not _ABOUT.search(self.target) and self.target.count("/") > 1

    @property
    def margins(self) -> tuple[int, int]:
        """What stands around an object's bytes in the body."""
        return (512, 64) if "uploadType=multipart" in self.target else (0, 0)
