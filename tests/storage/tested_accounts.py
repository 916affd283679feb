"""A storage under test, and how a test names a directory at a provider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dxflow_async.storage.manager import AsyncStorageManager
from tests.storage.scratch_directories import Spot

__all__ = ["Account", "Spots"]


@dataclass(frozen=True)
class Account:
    """A storage, and a bucket in it that is the test's own."""

    storage: AsyncStorageManager
    bucket: str
    is_cloud: bool

    def __truediv__(self, name: str) -> str:
        return f"/{self.bucket}/{name}"


Spots = Callable[[str, str], Spot]
