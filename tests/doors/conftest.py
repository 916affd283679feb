"""Settings that know every kind of storage, each at its real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dxflow_async import AzureSettings, GCPSettings, Settings
from tests.servers import Azurite, GCSServer, MotoServer, SeaweedFS
from tests.sessions import settings_for

Tops = Callable[[str], str]
"""Returns a directory of the test's own, by the name of a remote."""


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings for the remote that the test's parameter names."""
    remote = request.node.callspec.params.get("remote", "local") if hasattr(request.node, "callspec") else "local"
    if remote == "weed":
        weed: SeaweedFS = request.getfixturevalue("weed")
        return settings_for(weed, tmp_path / "home")
    if remote == "aws":
        moto: MotoServer = request.getfixturevalue("moto")
        return settings_for(moto, tmp_path / "home")
    if remote == "azure":
        azurite: Azurite = request.getfixturevalue("azurite")
        azure = AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key)
        return replace(Settings(home=tmp_path / "home"), azure=azure)
    if remote == "gcp":
        gcs: GCSServer = request.getfixturevalue("gcs")
        return Settings(home=tmp_path / "home", gcp=GCPSettings(endpoint=gcs.endpoint))
    return Settings(home=tmp_path / "home")


@pytest.fixture(
    params=[
        "local",
        "aws",
        pytest.param("azure", marks=pytest.mark.long),
        pytest.param("gcp", marks=pytest.mark.long),
        pytest.param("unit", marks=pytest.mark.long),
    ]
)
def remote(request: pytest.FixtureRequest) -> str:
    """The kind of storage that is tried: the first two every day."""
    name: str = request.param
    return name


@pytest.fixture
def options(remote: str, settings: Settings) -> dict[str, Any]:
    """The arguments of a file system or a store of that storage."""
    account = {"email": "you@example.com", "password": "password"} if remote == "unit" else {}
    return {"settings": settings, **account}


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """S3 as Amazon has it: SeaweedFS lists a directory for a while after its last object was deleted."""
    with MotoServer.start(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def moto_bucket(moto: MotoServer) -> str:
    """A bucket there, of the test's own."""
    return moto.create_bucket(f"bucket-{uuid4().hex[:12]}")


@pytest.fixture
def tops(request: pytest.FixtureRequest, tmp_path: Path) -> Tops:
    """Makes a directory of the test's own at a remote, written without a scheme: `aws/bucket/directory`."""
    buckets = {"aws": "moto_bucket", "azure": "container", "gcp": "gcs_bucket", "weed": "bucket"}

    def top(remote: str) -> str:
        name = uuid4().hex[:8]
        if remote in buckets:
            start = "aws" if remote == "weed" else remote
            return f"{start}/{request.getfixturevalue(buckets[remote])}/{name}"
        if remote == "unit":
            return f"unit/Demo/{name}"
        return f"local{tmp_path}/{name}"

    return top
