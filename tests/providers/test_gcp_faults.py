"""Transfers with Google Cloud Storage over a network, and a service, that fail now and then."""

from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.config import GCPSettings
from tests.faults.proxy import FaultProxy, Mode, Request
from tests.servers import GCSServer
from tests.sessions import MiB, part_files


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty small files and one of 40 MiB."""
    top, random = tmp_path_factory.mktemp("tree"), Random(1)
    for number in range(30):
        (top / f"small-{number:02}").write_bytes(random.randbytes(random.randrange(1, 20_000)))
    (top / "large").write_bytes(random.randbytes(40 * MiB))
    return top


def hashes(top: Path) -> dict[str, str]:
    """What the files of a directory have in them."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in top.iterdir()}


@pytest.mark.parametrize("modes", [("reset",), ("slow_down", "too_many"), ("lost_answer",), ("flip",)])
async def test_every_file_arrives(
    modes: tuple[Mode, ...], tree: Path, gcs: GCSServer, gcs_bucket: str, tmp_path: Path
) -> None:
    """Whatever one request in eight suffers, all bytes arrive both ways, and no part is left."""

    def applies(request: Request) -> bool:
        # A wrong bit in an answer that is no object's bytes is no answer; in a part of a large one it shows in the
        # whole only, which is done again but twice.
        if modes == ("flip",):
            return "uploadType" in request.target or ("alt=media" in request.target and "small" in request.target)
        return True

    proxy = FaultProxy(gcs.endpoint, modes, rate=0.12, seed=7, applies=applies)
    async with proxy.running():
        settings = Settings(
            home=tmp_path / "home", part_size=5 * MiB, max_attempts=8, gcp=GCPSettings(endpoint=proxy.endpoint)
        )
        async with AsyncSession(settings=settings) as session:
            storage = session.get_storage_manager()
            up = await storage.upload(f"{tree}/", f"/{gcs_bucket}/to/", provider="GCP")
            faults_up = proxy.faults.total()
            down = await storage.download(f"/{gcs_bucket}/to/", tmp_path / "back", provider="GCP")
    assert hashes(tmp_path / "back") == hashes(tree)
    assert up.verified == down.verified == 31
    assert 0 < faults_up < proxy.faults.total()
    assert up.retries > 0
    assert down.retries > 0
    assert gcs.names(gcs_bucket, ".dxflow-parts/") == []
    assert part_files(tmp_path) == []
