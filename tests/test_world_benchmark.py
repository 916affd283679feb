"""The benchmark of long and capped networks runs from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_tiny_row_runs_checked_against_the_fallback_server(tmp_path: Path) -> None:
    """A row starts its servers, runs ours both ways of durability, checks the result, and reports what it took."""
    figures = tmp_path / "figures.json"
    options = ["--quick", "--server", "own", "--peers", "--rows", "small-direct-down", "--json", str(figures)]
    command = [sys.executable, "-m", "benchmarks", "world", *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert "100 x 16 KiB down, direct" in run.stdout
    found = json.loads(figures.read_text())["runs"]
    assert [each["contestant"] for each in found] == ["dxflow-async", "dxflow-async, durable=False"]
    assert all(each["wall"] > 0 and each["rss"] > 0 for each in found)
