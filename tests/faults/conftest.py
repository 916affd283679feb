"""The providers, each at its real server, and what is moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.proxied_providers import Site, aws_site, azure_site, gcp_site, make_tree, unit_site
from tests.faults.proxy import Dialect
from tests.server.running_hub import UnitProcess
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.sessions import MiB


@pytest.fixture
def aws(weed: SeaweedFS) -> Site:
    """S3, in a bucket of the test's own."""
    bucket = weed.create_bucket(f"faults-{uuid4().hex[:8]}")
    return aws_site(weed, bucket)


@pytest.fixture
def azure(azurite: Azurite, container: str) -> Site:
    """Azure Blob Storage."""
    return azure_site(azurite, container)


@pytest.fixture
def gcp(gcs: GCSServer, gcs_bucket: str) -> Site:
    """Google Cloud Storage."""
    return gcp_site(gcs, gcs_bucket)


@pytest.fixture(scope="session")
def unit_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnitProcess]:
    """A unit's server."""
    unit = UnitProcess(tmp_path_factory.mktemp("unit"))
    process = unit.start()
    yield unit
    process.kill()


@pytest.fixture
def unit(unit_process: UnitProcess) -> Site:
    """A compute unit."""
    return unit_site(unit_process, f"area-{uuid4().hex[:8]}")


@pytest.fixture(params=["aws", "azure", "gcp", "unit"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each provider: a new one adds its fixture above and its name here."""
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def tried(request: pytest.FixtureRequest, dialect: Dialect) -> Site:
    """The service whose answers are foreign."""
    site: Site = request.getfixturevalue(dialect.lower())
    return site


@pytest.fixture
def other(request: pytest.FixtureRequest, dialect: Dialect) -> Site:
    """Another service, whose answers are right."""
    site: Site = request.getfixturevalue("aws" if dialect == "GCP" else "gcp")
    return site


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files and one that moves in parts."""
    return make_tree(tmp_path_factory.mktemp("faults") / "tree", 150, 24 * MiB, 41 * MiB)
