"""Every Python block of the README runs as it stands, in a process of its own."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from dxflow_async import Settings
from dxflow_async.config.loader import parse_size
from tests.docs.code_blocks import python_blocks
from tests.python_processes import clean_environment, run_script

_README = Path(__file__).parent.parent.parent / "README.md"


def test_the_python_blocks_run(tmp_path: Path) -> None:
    """Each in a directory that has a table in `results`, with a home of its own and no cloud configured."""
    for number, block in enumerate(python_blocks(_README), 1):
        directory = tmp_path / str(number)
        (directory / "results").mkdir(parents=True)
        (directory / "results" / "table.csv").write_text("column\n" * 100)
        outcome = run_script(block, clean_environment(directory / "home"), directory=directory)
        assert outcome.status == 0, f"block {number}:\n{block}\n{outcome.stderr}"
        assert "Traceback" not in outcome.stderr


def test_blocks_are_found(tmp_path: Path) -> None:
    """Only Python blocks, each whole, whatever stands around them."""
    document = tmp_path / "document.md"
    document.write_text("a\n```python\nx = 1\n\ny = 2\n```\n```sh\nls\n```\ntext\n```python title\nz = 3\n```")
    assert python_blocks(document) == ["x = 1\n\ny = 2\n", "z = 3\n"]


def _rows() -> list[tuple[list[str], list[str], str]]:
    """Of the table of settings: the names, the variables that are written out, the default."""
    section = _README.read_text("utf-8").partition("## Configuration\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \| ([^|]+) \|", section, re.MULTILINE)
    return [(re.findall(r"`([^`]+)`", names), re.findall(r"`([^`]+)`", said), default) for names, said, default in rows]


def _settings() -> dict[str, object]:
    """Every setting, with its default."""
    found: dict[str, object] = {}
    settings = Settings()
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            found |= {f"{field.name}.{each.name}": getattr(value, each.name) for each in dataclasses.fields(value)}
        else:
            found[field.name] = value
    return found


def test_the_table_has_every_setting_with_its_default() -> None:
    """No setting is missing, none is invented, and the defaults are those of `Settings`."""
    documented = {name: default for names, _, default in _rows() for name in names}
    settings = _settings()
    assert documented.keys() == settings.keys()
    for name, default in documented.items():
        value = settings[name]
        if isinstance(value, bool | str):
            assert default == f"`{str(value).lower()}`", name
        elif isinstance(value, int | float):
            assert parse_size(default.replace(",", "").removesuffix(" s")) == value, name


def test_the_table_has_the_right_variables() -> None:
    """Each that is written out is that of a setting of its row, and no row is without one."""
    for names, variables, _ in _rows():
        assert variables
        assert set(variables) <= {f"DXFLOW_{name.upper().replace('.', '_')}" for name in names}
