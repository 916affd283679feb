"""Locks that end with the process that took them, also where it has forked."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dxflow_async.concurrency.file_locks import is_free
from dxflow_async.transfer.executor.channel import CALL, is_abandoned
from dxflow_async.transfer.journal.lock import JobLock

_FORKS = """
import os, sys, time
from pathlib import Path
from dxflow_async.transfer.executor.channel import Channel
from dxflow_async.transfer.journal.lock import JobLock
lock, channel = JobLock(Path(sys.argv[1])), Channel.create("0" * 8, same_machine=True)
lock.take("job")
if not os.fork():
    print(os.getpid(), channel.path, flush=True)
time.sleep(600)
"""


@pytest.mark.timeout(60)
def test_a_killed_process_that_has_forked(tmp_path: Path) -> None:
    """Its children, such as the workers of a pool of forked processes, do not hold its locks on when it is killed."""
    path = tmp_path / "job.lock"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", _FORKS, path], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    child, channel = process.stdout.readline().split()
    try:
        assert JobLock(path).holder() == process.pid
        assert not is_free(os.path.join(channel, CALL), fcntl.LOCK_SH)
        process.kill()
        process.wait()
        assert is_abandoned(channel)
        assert JobLock(path).holder() is None
        os.kill(int(child), 0)  # it is alive
    finally:
        os.kill(int(child), signal.SIGKILL)
        process.kill()
        process.stdout.close()
