"""What `-m` selects, and that `-m "not server"` starts no external server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lanes import UnmarkedTestError, on_demand
from tests.servers import Azurite, GCSServer, MotoServer, SeaweedFS
from tests.servers.foreign_unit import ForeignUnit
from tests.servers.process import Process

ROOT = Path(__file__).parents[1]


def collected(*arguments: str) -> list[str]:
    """The ids of the tests that a command line selects."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert done.returncode in {0, 5}, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


STARTS: dict[str, Callable[[Path], object]] = {
    "weed": SeaweedFS.start,
    "azurite": Azurite.start,
    "gcs": GCSServer.start,
    "moto": MotoServer.start,
    "node": lambda directory: ForeignUnit(directory).start(),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_an_unmarked_test_starts_no_server(start: Callable[[Path], object], tmp_path: Path) -> None:
    """Each external server refuses to start in a test that is not marked, and the error says how to mark it."""
    with pytest.raises(UnmarkedTestError, match=r"test_lanes.*is not marked `server`: add `pytestmark"):
        start(tmp_path)


def test_an_unmarked_test_starts_our_own_servers(tmp_path: Path) -> None:
    """A process of this interpreter is no external server."""
    Process([sys.executable, "-c", ""], tmp_path / "log").kill()


@pytest.mark.server
def test_a_marked_test_starts_programs(tmp_path: Path) -> None:
    """The marker allows any program."""
    Process(["true"], tmp_path / "log").kill()


def test_lanes_hold_the_tests_that_they_name() -> None:
    """A row that asks for its fixture by name is in the lane of that fixture; `long` and `fuzz` are in none unasked."""
    files = ("tests/contract/test_contract.py", "tests/fuzz/test_fuzz.py", "tests/durability/test_power_loss.py")
    rows = collected("-m", "not server", *files)
    contract = [row for row in rows if row.startswith(files[0])]
    assert any("local" in row for row in contract)
    assert not [row for row in contract if any(name in row for name in ("aws", "azure", "gcp"))]
    assert {row.partition("[")[0] for row in rows if row not in contract} == {
        "tests/fuzz/test_fuzz.py::test_a_few",
        "tests/fuzz/test_fuzz.py::test_a_few_changes_of_listings",
    }


@pytest.mark.parametrize(
    ("expression", "runs"),
    [
        ("", {"": True, "long": False, "fuzz": False}),
        ("not server", {"": True, "long": False, "fuzz": False}),
        ("long", {"long": True, "fuzz": False}),
        ("fuzz and not server", {"long": False, "fuzz": True}),
        ("long or fuzz or not server", {"": True, "long": True, "fuzz": True}),
        ("longer", {"long": False}),
    ],
)
def test_long_and_fuzz_run_only_when_they_are_named(
    request: pytest.FixtureRequest, expression: str, runs: dict[str, bool]
) -> None:
    """An expression selects tests of these markers only if it names them."""
    for marker, selected in runs.items():
        item = pytest.Function.from_parent(request.node.parent, name=request.node.name, callobj=lambda: None)
        if marker:
            item.add_marker(marker)
        assert on_demand(item, expression) is not selected
