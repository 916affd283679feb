"""Renames on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.security.new_names import rename


def _rename(directory: Path, name: str, target: str, *, above: Path | None = None) -> None:
    here, there = (os.open(each, os.O_RDONLY | os.O_DIRECTORY) for each in (directory, above or directory))
    try:
        rename(here, name, target, target_directory=there)
    finally:
        os.close(here)
        os.close(there)


def test_another_link_of_the_same_file(tmp_path: Path) -> None:
    """The old name is removed, in one directory and from one to another; further links stay."""
    (tmp_path / "above").mkdir()
    (tmp_path / "a").write_bytes(b"1")
    for other in ("b", "above/b", "kept"):
        (tmp_path / other).hardlink_to(tmp_path / "a")
    _rename(tmp_path, "a", "b")
    _rename(tmp_path, "b", "b", above=tmp_path / "above")
    assert sorted(each.name for each in tmp_path.rglob("*") if each.is_file()) == ["b", "kept"]
    assert (tmp_path / "above/b").read_bytes() == b"1"


def test_the_same_name(tmp_path: Path) -> None:
    """A file that is renamed to its own name stays, however many links it has."""
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    _rename(tmp_path, "a", "a")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_disk_that_ignores_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both names are one entry of a directory, that entry is not removed after it has its new name."""
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "link").hardlink_to(tmp_path / "a")
    look: Callable[..., Any] = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **options: look("A" if path == "a" else path, **options))
    monkeypatch.setattr(os, "unlink", lambda *_, **__: pytest.fail("the file was removed"))
    _rename(tmp_path, "a", "A")
    assert sorted(os.listdir(tmp_path)) == ["A", "link"]
