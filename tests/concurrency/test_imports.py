"""Forks while a worker thread imports."""

from __future__ import annotations

from pathlib import Path

from tests.python_processes import clean_environment, run_script

_SCRIPT = """
    import importlib, os, signal, sys, threading, time
    from dxflow_async.concurrency.imports import importing

    sys.path.insert(0, os.environ["MODULES"])
    thread = threading.Thread(target=importing, args=(importlib.import_module, "slow_module"))
    thread.start()
    while "slow_module" not in sys.modules:
        time.sleep(0.001)
    pid = os.fork()
    if not pid:
        signal.alarm(10)  # ends a child that waits for ever
        import slow_module
        importing(importlib.import_module, "slow_module")
        os._exit(0 if slow_module.ready else 1)
    assert not os.waitpid(pid, 0)[1]
    thread.join()
    importing(importlib.import_module, "slow_module")
    print("done")
"""


def test_a_fork_waits_for_imports(tmp_path: Path) -> None:
    """A child that is forked while a worker thread imports a module can import that module, too."""
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(0.3)\nready = True\n")
    ended = run_script(_SCRIPT, clean_environment(tmp_path, MODULES=str(tmp_path)))
    assert (ended.stdout, ended.status) == ("done\n", 0), ended.stderr
