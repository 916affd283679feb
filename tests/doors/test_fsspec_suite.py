"""fsspec's own suite for file systems, over every kind of storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dxflow_async import Settings

pytest.importorskip("fsspec", reason="the suite is fsspec's")

from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

from dxflow_async.doors.fsspec import DxflowFileSystem

pytestmark = pytest.mark.server

EVERYDAY = "local"
REMOTES = [
    pytest.param(remote, marks=() if remote == EVERYDAY else pytest.mark.long)
    for remote in ("local", "aws", "azure", "gcp", "unit")
]


@pytest.fixture(params=REMOTES)
def remote(request: pytest.FixtureRequest) -> str:
    """The storage below the file system."""
    name: str = request.param
    return name


class Fixtures(AbstractFixtures):  # type: ignore[misc]
    """What the suite asks for."""

    @pytest.fixture
    def fs(self, remote: str, settings: Settings) -> Any:
        """The file system."""
        if remote == "unit":
            return DxflowFileSystem(settings=settings, email="you@example.com", password="password")
        return DxflowFileSystem(settings=settings)

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        """Joins with slashes."""
        return lambda *names: "/".join(map(str, names))

    @pytest.fixture
    def fs_path(self, remote: str, tops: Callable[[str], str]) -> str:
        """A directory."""
        return tops(remote)

    @pytest.fixture
    def supports_empty_directories(self, remote: str) -> bool:
        """Directories are real on disks."""
        return remote in ("local", "unit")


class TestCopy(AbstractCopyTests, Fixtures):  # type: ignore[misc]
    """Copies within the file system."""


class TestGet(AbstractGetTests, Fixtures):  # type: ignore[misc]
    """Downloads."""


class TestPut(AbstractPutTests, Fixtures):  # type: ignore[misc]
    """Uploads."""


class TestPipe(AbstractPipeTests, Fixtures):  # type: ignore[misc]
    """Whole objects."""


class TestOpen(AbstractOpenTests, Fixtures):  # type: ignore[misc]
    """Files."""
