"""`docs/dependencies.md` and pyproject.toml name the same packages."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_dependency_is_explained() -> None:
    """The table has each run-time dependency, of extras too, and no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[>=;~! ]", each)[0] for each in required}
    rows = re.findall(
        r"^\| ([a-z0-9-]+) ", (ROOT / "dxflow_async/docs/dependencies.md").read_text("utf-8"), re.MULTILINE
    )
    assert set(rows) - {"package", "---"} == names
    assert len(rows) == len(set(rows))
