"""Run one program and write what it cost, as JSON, to a file: `python -I -S launcher.py FILE PROGRAM ARGUMENT...`.

A process of its own, and a small one: Linux counts the memory of the process that forked into a child's peak.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Start, wait, report."""
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    _, status, usage = os.wait4(pid, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    figures = {
        "wall": time.perf_counter() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "rss": usage.ru_maxrss * unit,
        "status": os.waitstatus_to_exitcode(status),
    }
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(figures, file)


if __name__ == "__main__":
    main()
