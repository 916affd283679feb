"""What tests of more than one folder share: one S3 server for the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.servers import SeaweedFS


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A server over plain HTTP, signatures enforced."""
    with SeaweedFS.start(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def bucket(weed: SeaweedFS) -> str:
    """A bucket there."""
    return weed.create_bucket(f"bucket-{uuid4().hex[:8]}")


@pytest.fixture
def prefix(bucket: str) -> str:
    """Where the keys of one test start."""
    return f"{bucket}/{uuid4().hex[:12]}/"
