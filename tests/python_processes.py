"""Python scripts in processes of their own, with development mode on and warnings as errors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Outcome", "RunningScript", "clean_environment", "run_script", "without_accounts"]

_LIMIT = 120.0
_SDK_VARIABLES = ("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST")
_SDK_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG")
# Forking with threads is what some scripts are about.
_OPTIONS = ("-X", "dev", "-W", "error", "-W", "ignore:This process:DeprecationWarning")
# In development mode asyncio reports callbacks of over 0.1 s, which is what imports and the machine's load take.
_SLOW_CALLBACK = re.compile(r"^(?:dxflow-async: )?Executing <.* took \d+\.\d{3} seconds\n", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """How a process ended and what it printed."""

    status: int
    stdout: str
    stderr: str


def clean_environment(home: Path, **variables: str) -> dict[str, str]:
    """This process's environment without settings of ours and of SDKs, with `DXFLOW_HOME` and these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DXFLOW_")}
    without_accounts(kept)
    return {**kept, "DXFLOW_HOME": str(home), "PYTHONIOENCODING": "utf-8", **variables}


def without_accounts(environ: MutableMapping[str, str]) -> None:
    """Removes from an environment what the clouds' SDKs find accounts by, and points them to files that are not there.

    Their files in the user's home directory would be found as well.
    """
    for name in [each for each in environ if each.startswith(_SDK_VARIABLES)]:
        del environ[name]
    environ.update(dict.fromkeys(_SDK_FILES, os.path.join(os.path.dirname(__file__), "no-such-directory", "file")))


def run_script(code: str, environment: Mapping[str, str], *, directory: Path | None = None) -> Outcome:
    """Runs a script to its end."""
    with RunningScript(code, environment, directory=directory) as script:
        return script.wait()


class RunningScript:
    """A script under way; killed at the end of its `with` block if it is still there.

    Args:
        code: the script.
        environment: all of its environment variables.
        directory: where it runs.
        module: arguments after `-m`, instead of a script.
        strict: in development mode, with warnings as errors.
    """

    def __init__(
        self,
        code: str,
        environment: Mapping[str, str],
        *,
        directory: Path | None = None,
        module: tuple[str, ...] = (),
        strict: bool = True,
    ) -> None:
        command = ("-m", *module) if module else ("-c", textwrap.dedent(code))
        self._process = subprocess.Popen(
            [sys.executable, *(_OPTIONS if strict else ()), *command],
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_for_line(self, text: str) -> str:
        """Waits until it prints a line with `text`; returns all up to there."""
        assert self._process.stdout is not None
        seen = ""
        while line := self._process.stdout.readline():
            seen += line
            if text in line:
                return seen
        raise AssertionError(f"the script ended without {text!r}: {seen}{self.wait().stderr}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def wait(self) -> Outcome:
        """Waits for its end. Reports of slow callbacks are left out."""
        stdout, stderr = self._process.communicate(timeout=_LIMIT)
        return Outcome(self._process.returncode, stdout, _SLOW_CALLBACK.sub("", stderr))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
