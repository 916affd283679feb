"""Starting a contestant in a fresh process, and what that process took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients.job import TransferItem
from benchmarks.contestants import Contestant, clean_environment

__all__ = ["Outcome", "launch"]

_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a contestant took.

    Attributes:
        process: what its process took.
        own: what it says itself that the job took, and how many items there were; nothing for a program.
        lines: of what a program printed.
    """

    process: dict[str, Any]
    own: dict[str, float]
    lines: int


def launch(contestant: Contestant, job: TransferItem, directory: Path, *, timeout: float = 900.0) -> Outcome:
    """Run a contestant, its output and its figures in files in `directory`.

    Raises:
        ValueError: it failed; with the tail of its output.
        subprocess.TimeoutExpired: it was killed after `timeout` seconds.
    """
    figures, output = directory / "figures.json", directory / "output"
    figures.unlink(missing_ok=True)
    command = [sys.executable, "-I", "-S", str(_LAUNCHER), str(figures), *contestant.command(job)]
    environment = {**clean_environment(), **contestant.environment(job)}
    with (
        output.open("wb") as file,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as child,
    ):
        try:
            _, errors = child.communicate(timeout=timeout)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    process = json.loads(figures.read_text())
    printed = output.read_text("utf-8", "replace")
    if process["status"]:
        raise ValueError(f"status {process['status']}: {(printed + errors)[-2000:]}")
    lines = printed.splitlines()
    return Outcome(process, json.loads(lines[-1]) if contestant.library else {}, len(lines))
