"""What works on macOS: a whole session in a process without `/proc` and without what only Linux has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import like_macos

_HIDE_PROC = ("unshare", "--mount", "--map-root-user", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")


def test_a_session_needs_nothing_of_linux(tmp_path: Path) -> None:
    """Uploads, downloads, copies, syncs, special files and links out work without `/proc`, `openat2` and the like."""
    try:
        possible = subprocess.run([*_HIDE_PROC, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("this system does not let a process hide /proc")
    command = [*_HIDE_PROC, sys.executable, "-m", like_macos.__name__, str(tmp_path)]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parent.parent
    )
    assert run.returncode == 0, run.stderr[-3000:]
