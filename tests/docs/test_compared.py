"""The table of `compared.md`: each cell of ours names tests that exist and run every day, and what is missing is tried.

The names are compared with the functions that the test files define; the tests run by themselves.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.cli.missing_features import REFUSED

_ROOT = Path(__file__).parents[2]
_DOCUMENT = _ROOT / "dxflow_async/docs/compared.md"
_REFUSALS = "tests/cli/test_refusals.py"
_TRIES_ALL = f"{_REFUSALS}::test_what_is_missing_is_refused"
"""The test that tries every row of `REFUSED`."""
_ASIDE = re.compile(r"mark\.(?:long|skip|xfail)\b")


@cache
def _tests_of(file: str) -> frozenset[str]:
    """The tests that a file defines, but for those that are not run every day."""
    path = _ROOT / file
    if not (path.is_file() and path.name.startswith("test_")):
        return frozenset()
    body = ast.parse(path.read_text("utf-8")).body
    if any(_ASIDE.search(text) for each in body if (text := ast.unparse(each)).startswith("pytestmark =")):
        return frozenset()
    functions = [each for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(
        each.name
        for each in functions
        if each.name.startswith("test_") and not any(_ASIDE.search(ast.unparse(mark)) for mark in each.decorator_list)
    )


def _rows(text: str) -> list[tuple[str, str, list[str]]]:
    """Each row: its name, the cell of ours, and the tests."""
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(name, ours, re.findall(r"`([^`]+)`", shown)) for name, ours, *_, shown in cells]


def _faults(text: str) -> list[str]:
    """What is wrong with the table."""
    faults = []
    rows = _rows(text)
    for name, ours, tests in rows:
        answer = re.match(r"(?:yes|part|no)\b", ours)
        if answer is None:
            faults.append(f"{name}: {ours!r} is no answer")
            continue
        if not tests:
            faults.append(f"{name}: no test shows it")
            continue
        for each in tests:
            file, _, function = each.partition("::")
            if function not in _tests_of(file):
                faults.append(f"{name}: there is no test {each} that runs every day")
        refusals = [each for each in tests if each.startswith(f"{_REFUSALS}::")]
        if bool(refusals) is (answer[0] == "yes"):
            faults.append(f"{name}: {ours}, and {len(refusals)} tests of what is missing")
        if answer[0] == "part" and len(refusals) == len(tests):
            faults.append(f"{name}: no test shows the part that is here")
    tried = {name for name, _, tests in rows if _TRIES_ALL in tests}
    faults += [f"{name}: is tried in one place only" for name in sorted(tried ^ REFUSED.keys())]
    names = [name for name, *_ in rows]
    return faults + [
        f"{name}: stands there twice" for name in sorted({each for each in names if names.count(each) > 1})
    ]


def test_each_cell_is_shown() -> None:
    """Each row has an answer and tests that exist; what is missing, wholly or in part, is bound to a refusal."""
    text = _DOCUMENT.read_text("utf-8")
    assert len(_rows(text)) > 50
    assert _faults(text) == []


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| new | yes | no | no | no | no | |", "new: no test shows it"),
        ("| new | no | yes | no | no | no | |", "new: no test shows it"),
        ("| new | perhaps | yes | no | no | no | |", "new: 'perhaps' is no answer"),
        (
            "| new | yes | no | no | no | no | `tests/cli/test_copying.py::test_filtres` |",
            "new: there is no test tests/cli/test_copying.py::test_filtres that runs every day",
        ),
        (
            "| new | yes | no | no | no | no | `tests/cli/test_nothing.py::test_filters` |",
            "new: there is no test tests/cli/test_nothing.py::test_filters that runs every day",
        ),
        (
            "| new | yes | no | no | no | no | `tests/cli/test_copying.py` |",
            "new: there is no test tests/cli/test_copying.py that runs every day",
        ),
        (
            "| new | yes | no | no | no | no | `tests/faults/test_kill.py::test_killed_a_hundred_times` |",
            "new: there is no test tests/faults/test_kill.py::test_killed_a_hundred_times that runs every day",
        ),
        (
            "| new | no | no | no | no | no | `tests/cli/test_copying.py::test_filters` |",
            "new: no, and 0 tests of what is missing",
        ),
        ("| new | no | no | no | no | no | `tests/cli/test_refusals.py::test_windows_is_refused` |", ""),
        (
            "| new | part | no | no | no | no | `tests/cli/test_refusals.py::test_windows_is_refused` |",
            "new: no test shows the part that is here",
        ),
        (
            "| new | yes | no | no | no | no | `tests/cli/test_refusals.py::test_windows_is_refused` |",
            "new: yes, and 1 tests of what is missing",
        ),
        (
            "| new | no | no | no | no | no | `tests/cli/test_refusals.py::test_what_is_missing_is_refused` |",
            "new: is tried in one place only",
        ),
        (
            "| Windows | no | no | no | no | no | `tests/cli/test_refusals.py::test_windows_is_refused` |",
            "Windows: stands there twice",
        ),
    ],
)
def test_a_wrong_row_is_noticed(row: str, fault: str) -> None:
    """A row without tests, with tests that do not exist or run only now and then, or with tests of something else."""
    assert _faults(f"{_DOCUMENT.read_text('utf-8').rstrip()}\n{row}\n") == ([fault] if fault else [])


def test_a_row_that_is_gone_is_noticed() -> None:
    """What is refused stands in the table."""
    (row,) = re.findall(r"^\| encryption on this machine .*\n", text := _DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert _faults(text.replace(row, "")) == ["encryption on this machine: is tried in one place only"]
