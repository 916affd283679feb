"""The oldest versions that the extras allow."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EXTRAS = ("arrow", "fsspec", "pandas", "zarr")

TESTS = ("test_fsspec.py", "test_fsspec_bulk.py", "test_zarr.py", "test_zarr_variants.py")
"""The other tests try what came to fsspec later, such as archives that close the file below them."""


@pytest.mark.long
def test_adapters_work_with_the_oldest_versions() -> None:
    """The everyday tests of the adapters pass, at local storage, with the lowest versions that the extras allow."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("uv, which makes the environment, is not installed")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    lowest = [re.sub(r">=([\d.]+)$", r"==\1", each) for name in EXTRAS for each in extras[name]]
    assert all("==" in each for each in lowest), lowest
    command = [uv, "run", *(word for each in lowest for word in ("--with", each)), "python", "-m", "pytest"]
    chosen = ["-n", "0", "-q", "--tb=short", "-p", "no:cacheprovider", "-k", "local and not forked"]
    outcome = subprocess.run(
        [*command, *chosen, *(f"tests/doors/{name}" for name in TESTS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert outcome.returncode == 0, f"{lowest}\n{outcome.stdout[-3000:]}\n{outcome.stderr[-1000:]}"
