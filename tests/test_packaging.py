"""The wheel that users install, built and used as such."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import dxflow_async

ROOT = Path(__file__).parents[1]


def uv_command() -> list[str]:
    """Returns the command uv: the one that runs the tests, if uv does, else the module."""
    return [os.environ["UV"]] if "UV" in os.environ else [sys.executable, "-m", "uv"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory into which the wheel of this tree is unpacked."""
    top = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "dxflow_async", top / "tree/dxflow_async", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, top / "tree" / name)
    command = [*uv_command(), "build", "--quiet", "--wheel", "--out-dir", str(top), str(top / "tree")]
    subprocess.run(command, check=True, timeout=200)
    (wheel,) = top.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(top / "site")
    return top / "site"


def run(site: Path, code: str) -> str:
    start = f"import sys; sys.path.insert(0, {str(site)!r}); "
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_documented_import_name_works(site: Path) -> None:
    """`from dxflow import Session` and `from dxflow.exceptions import StorageError` come from the wheel."""
    code = (
        "import dxflow; from dxflow import Session; from dxflow.exceptions import StorageError; "
        "import dxflow_async; assert StorageError is dxflow_async.StorageError; "
        "assert Session is dxflow_async.Session; print(dxflow.__file__)"
    )
    assert Path(run(site, code)).is_relative_to(site)


def test_wheel_holds_every_module(site: Path) -> None:
    """Each module of the tree is in the wheel, with the marks that make it typed, and nothing else."""
    tree = {path.relative_to(ROOT) for path in (ROOT / "dxflow_async").rglob("*.py")}
    wanted = {Path(*path.parts[1:]) if path.parts[1] == "dxflow" else path for path in tree}
    assert {path.relative_to(site) for path in site.rglob("*.py")} == wanted
    assert (site / "dxflow_async/py.typed").exists()
    assert (site / "dxflow/py.typed").exists()


def test_command_is_installed(site: Path) -> None:
    """The wheel brings the command `dxflow-async`."""
    (entry_points,) = site.glob("*.dist-info/entry_points.txt")
    assert "dxflow-async = dxflow_async.cli:main" in entry_points.read_text("utf-8")


def test_the_version_is_that_of_the_metadata() -> None:
    """`dxflow_async.__version__` is the version of the installed distribution."""
    assert dxflow_async.__version__ == version("dxflow-async")


def test_wheel_holds_the_documents(site: Path) -> None:
    """The longer texts are installed with the package."""
    names = {path.name for path in (ROOT / "dxflow_async/docs").glob("*.md")}
    assert names
    assert {path.name for path in (site / "dxflow_async/docs").glob("*.md")} == names
