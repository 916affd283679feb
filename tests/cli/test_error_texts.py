"""What a user reads when a command fails; the texts are a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.error_situations import SITUATIONS, Situation
from tests.cli.error_texts import Laboratory, error_text, laboratory, recorded
from tests.servers.weed import SeaweedFS

_RECORDED = recorded()

_PYTHONS = ("Traceback", "object at 0x", "Error:", "Error(", "Errno", "_ssl.c", "<class", "None", "['")


@pytest.fixture(scope="module")
def servers(server: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A server with objects, and one that answers as a situation says."""
    with laboratory(server, tmp_path_factory.mktemp("laboratory")) as servers:
        yield servers


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_text_is_the_recorded_one(servers: Laboratory, situation: Situation, tmp_path: Path) -> None:
    """It is as it was read and found good; `python -m tests.cli.error_texts` renews the record."""
    if "/dev/full" in situation.line and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    assert error_text(servers, situation, tmp_path) == _RECORDED[situation.name]


def test_every_text_is_of_a_situation() -> None:
    """The record has each situation once, and no other."""
    assert list(_RECORDED) == [situation.name for situation in SITUATIONS]


@pytest.mark.parametrize("name", _RECORDED)
def test_every_text_is_for_people(name: str) -> None:
    """The first line says who speaks, a wrong command line is told in one, and nothing of Python's is in it."""
    _, status, *lines = _RECORDED[name].partition("\nstandard output:")[0].splitlines()
    assert lines[0].startswith("dxflow-async: ")
    assert len(lines) == 1 or status != "exit status 2"
    assert not [word for word in _PYTHONS for line in lines if word in line]
