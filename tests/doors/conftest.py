"""Settings that know every kind of storage, each at its real server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AzureSettings, GCPSettings, Settings
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.sessions import settings_for

Tops = Callable[[str], str]
"""Returns a directory of the test's own, by the name of a remote."""


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings for the remote that the test's parameter names."""
    remote = request.node.callspec.params.get("remote", "local") if hasattr(request.node, "callspec") else "local"
    if remote == "aws":
        weed: SeaweedFS = request.getfixturevalue("weed")
        return settings_for(weed, tmp_path / "home")
    if remote == "azure":
        azurite: Azurite = request.getfixturevalue("azurite")
        azure = AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key)
        return replace(Settings(home=tmp_path / "home"), azure=azure)
    if remote == "gcp":
        gcs: GCSServer = request.getfixturevalue("gcs")
        return Settings(home=tmp_path / "home", gcp=GCPSettings(endpoint=gcs.endpoint))
    return Settings(home=tmp_path / "home")


@pytest.fixture
def tops(request: pytest.FixtureRequest, tmp_path: Path) -> Tops:
    """Makes a directory of the test's own at a remote, written without a scheme: `aws/bucket/directory`."""
    buckets = {"aws": "bucket", "azure": "container", "gcp": "gcs_bucket"}

    def top(remote: str) -> str:
        name = uuid4().hex[:8]
        if remote in buckets:
            return f"{remote}/{request.getfixturevalue(buckets[remote])}/{name}"
        if remote == "unit":
            return f"unit/Demo/{name}"
        return f"local{tmp_path}/{name}"

    return top
