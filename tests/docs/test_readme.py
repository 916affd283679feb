"""Every Python block of the README runs as it stands, in a process of its own."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import python_blocks
from tests.scripts import clean_environment, run_script

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
