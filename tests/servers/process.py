"""A server program: started with its output in a file, waited for, killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.lanes import check_marker

__all__ = ["Process", "ServerStartError", "free_port", "program"]


class ServerStartError(RuntimeError):
    """A server program ended, or did not answer in time; the message ends with the tail of its log."""


def program(name: str) -> str:
    """The path of a program beside this interpreter, else on `PATH`.

    Raises:
        FileNotFoundError: no such program.
    """
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is neither beside {sys.executable} nor on PATH: install the dev dependencies")
    return found


def free_port(*, offset: int = 0) -> int:
    """A loopback port that nothing listens on; `port + offset` is free too.

    Ports lie below the range that the system hands to outgoing connections, so none of those can take it meanwhile.
    """
    for _ in range(1000):
        port = random.randrange(11_000, 22_000)
        if _is_free(port) and (not offset or _is_free(port + offset)):
            return port
    raise OSError("no free port on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Process:
    """A running program in a session of its own.

    Args:
        command: the program and its arguments.
        log: the file that takes its output.
        environment: variables besides this process's own.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        check_marker(command)
        self._log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self._child.pid

    def wait_until(self, ready: Callable[[], bool], *, timeout: float = 30.0) -> None:
        """Ask `ready` until it says yes.

        Raises:
            ServerStartError: the program ended first, or `timeout` seconds passed.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if (status := self._child.poll()) is not None:
                raise ServerStartError(f"{self._child.args!r} ended with status {status}\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ServerStartError(f"{self._child.args!r} was not ready after {timeout:g} s\n{self._tail()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End the program and its children at once; no harm when it has ended."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _tail(self) -> str:
        return self._log.read_text("utf-8", "replace")[-2000:]
