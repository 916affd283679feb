"""The script that finds out what an engine does."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async.testing.engine import main
from tests.servers.engine_switches import NASTY, Switches
from tests.servers.engine_thread import engine_on_a_thread


def table(text: str) -> dict[str, str]:
    """Returns the rows of a table by their matters."""
    return {line[:34].strip(): line[34:].strip() for line in text.splitlines()}


def test_an_engine_as_documented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every row is as assumed, and nothing is left in the volume."""
    with engine_on_a_thread(tmp_path / "volume") as server:
        (server.root / "kept").write_bytes(b"x")
        assert main([server.url, "--key", str(server.write_key(tmp_path / "key.pem"))]) == 0
        assert [path.name for path in server.root.iterdir()] == ["kept"]
    rows = table(capsys.readouterr().out)
    assert rows["rename onto a file"].split() == ["replaces", "as", "assumed"]
    assert rows["range of a download"].split() == ["ignored", "as", "assumed"]
    assert rows["upload without force onto a file"].startswith("refused (409)")
    assert rows["generation"] == "artifact"


def test_an_engine_that_does_much_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that are otherwise are told, and that the client handles them."""
    switches = Switches(**NASTY["nothing is made, found or emptied"])
    switches.download_range = "served"
    with engine_on_a_thread(tmp_path / "volume", switches) as server:
        assert main([server.url, "--key", str(server.write_key(tmp_path / "key.pem"))]) == 0
        assert list(server.root.iterdir()) == []
    rows = table(capsys.readouterr().out)
    for matter, seen in {
        "rename onto a file": "refused (409)",
        "directories above an upload": "missing (404)",
        "pattern of a listing": "compares paths",
        "listing of a missing directory": "empty",
        "range of a download": "sent",
        "deletion of a filled directory": "refused (400)",
        "deletion of several files": "succeeds, and does nothing",
    }.items():
        assert rows[matter].startswith(seen), (matter, rows[matter])
        assert rows[matter].endswith("handled")


def test_an_engine_that_is_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An engine that cannot be used ends with a message and status 2."""
    assert main(["http://127.0.0.1:1", "--key", str(tmp_path / "none.pem")]) == 2
    assert "refused the connection" in capsys.readouterr().err
