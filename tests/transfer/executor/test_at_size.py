"""Twenty thousand small files and an object of 2 GiB on workers: up, between two services, and down."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.transfer.executor.options import ExecutorOptions
from tests.servers import SeaweedFS
from tests.sessions import part_files, unfinished_uploads

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200), pytest.mark.filterwarnings("default")]

_FILES, _SIZE, _LARGE, _PIECE = 20_000, 1024, 2 << 30, 1 << 20


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files; no two pieces of them are equal."""
    top = tmp_path_factory.mktemp("source")
    for number in range(_FILES):
        path = top / f"{number // 1000:02}" / f"{number:05}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"{number:016}".encode() * (_SIZE // 16))
    noise = os.urandom(_PIECE)
    with open(top / "large", "wb") as file:
        for number in range(_LARGE // _PIECE):
            file.write(number.to_bytes(8, "big") + noise[8:])
    yield top
    shutil.rmtree(top)


@pytest.fixture
def settings(weed: SeaweedFS, other_weed: SeaweedFS, tmp_path: Path) -> Settings:
    """Two services, in a configuration file that workers find, too."""
    home, lines = tmp_path / "home", []
    home.mkdir()
    for server, title in ((weed, "[aws]"), (other_weed, '[remotes.other]\ntype = "s3"')):
        values = {name: getattr(server, name) for name in ("endpoint", "region", "access_key", "secret_key")}
        lines += [title, *(f'{name} = "{value}"' for name, value in values.items())]
    (home / "config.toml").write_text("\n".join(lines))
    (home / "config.toml").chmod(0o600)
    return Settings.load(home=home)


@contextmanager
def _cluster(home: Path) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distributed = pytest.importorskip("distributed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXFLOW_HOME", str(home))
        cluster = distributed.LocalCluster(
            n_workers=4, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        )
    with cluster, distributed.Client(cluster) as client:
        yield client


@asynccontextmanager
async def _workers(kind: str, home: Path) -> AsyncIterator[ExecutorOptions]:
    if kind.startswith("processes"):
        yield {"processes": int(kind[-1])}
    else:
        with _cluster(home) as client:
            yield {"executor": client}


@pytest.mark.parametrize("kind", ["processes 2", "processes 4", "dask 4"])
async def test_every_byte_arrives(
    settings: Settings, weed: SeaweedFS, other_weed: SeaweedFS, files: Path, tmp_path: Path, kind: str
) -> None:
    """Every byte is equal after three transfers, and no part, upload, job or temporary file is left over."""
    bucket, other = (server.create_bucket(f"size-{uuid4().hex[:8]}") for server in (weed, other_weed))
    back, count, size = tmp_path / "back", _FILES + 1, _FILES * _SIZE + _LARGE
    async with AsyncSession(settings=settings) as session, _workers(kind, settings.home) as where:
        route = [f"{files}/", f"aws:/{bucket}/x/", f"other:/{other}/x/", f"{back}/"]
        for source, target in pairwise(route):
            report = await session.copy(source, target, **where)
            assert (len(report), report.failed, report.bytes) == (count, [], size)
            # Shown by pytest -s.
            print(f"{kind}: {source.split(':')[0][:6]} to {target.split(':')[0][:6]}: {report.seconds:.1f} s")  # noqa: T201
        assert await asyncio.to_thread(_digests, back) == await asyncio.to_thread(_digests, files)
        for name, at in (("aws", bucket), ("other", other)):
            storage = session.get_storage_manager().at(name)
            assert await storage.delete(f"/{at}/x/", **where) == count
    assert not unfinished_uploads(weed, bucket)
    assert not unfinished_uploads(other_weed, other)
    assert not part_files(tmp_path)
    assert not list((settings.home / "jobs").glob("*.sqlite3"))
    shutil.rmtree(back)


def _digests(top: Path) -> dict[str, str]:
    found = {}
    for path in top.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                found[str(path.relative_to(top))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
