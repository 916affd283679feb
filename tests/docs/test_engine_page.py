"""The page about engines: its set-up of five lines works."""

from __future__ import annotations

import re
from pathlib import Path

from tests.python_processes import RunningScript, clean_environment
from tests.servers.engine_thread import engine_on_a_thread

PAGE = Path(__file__).parents[2] / "dxflow_async" / "docs" / "engine.md"


def test_the_set_up_of_five_lines(tmp_path: Path) -> None:
    """Four lines in the configuration file and one command copy a directory to an engine."""
    text = PAGE.read_text()
    found = re.search(r"```toml\n(.*?)```.*?```console\n\$ dxflow-async ([^\n]*)\n```", text, re.DOTALL)
    assert found is not None
    lines, arguments = found[1], found[2].split()
    assert len(lines.splitlines()) + 1 == 5
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.csv").write_bytes(b"a,b")
    with engine_on_a_thread(tmp_path / "volume") as engine:
        key = str(engine.write_key(tmp_path / "key.pem"))
        lines = lines.replace("https://lab.example.org", engine.url).replace("~/.dxflow/private-key.pem", key)
        (home / "config.toml").write_text(lines)
        module = ("dxflow_async.cli", *arguments)
        with RunningScript("", clean_environment(home), directory=tmp_path, module=module, strict=False) as script:
            outcome = script.wait()
        assert outcome.status == 0, outcome.stderr
        assert (engine.root / "run-1" / "a.csv").read_bytes() == b"a,b"
