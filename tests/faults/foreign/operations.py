"""Every operation that is tried."""

from __future__ import annotations

from tests.faults.foreign.attempts import SMALL, Operation
from tests.faults.foreign.calls import (
    Deletion,
    Looking,
    Writing,
    exists,
    list_names,
    read,
    read_large,
    scan,
    scan_anew,
    stat,
)
from tests.faults.foreign.transfers import Abandoned, Transfer
from tests.sessions import MiB

__all__ = ["DAILY_LARGE", "LARGE", "OPERATIONS"]

_SIZED = sorted((name, len(data)) for name, data in SMALL.items())

DAILY_LARGE = ("move large down", "move large up", "move large up at once", "resume move up", "abandoned upload")
"""Those that make each request that only large files need."""

OPERATIONS: tuple[Operation, ...] = (
    Transfer("move down", "move", "remote", "local"),
    Transfer("move one down", "move", "remote", "local", one=True),
    Transfer("move up", "move", "local", "remote"),
    Transfer("move one up", "move", "local", "remote", one=True),
    Transfer("move within", "move", "remote", "remote"),
    Transfer("move one within", "move", "remote", "remote", one=True),
    Transfer("move to another", "move", "remote", "other"),
    Transfer("move from another", "move", "other", "remote"),
    Transfer("sync down", "sync", "remote", "local"),
    Transfer("sync up", "sync", "local", "remote"),
    Transfer("sync within", "sync", "remote", "remote"),
    Transfer("sync to another", "sync", "remote", "other"),
    Transfer("sync from another", "sync", "other", "remote"),
    Transfer("download", "copy", "remote", "local"),
    Transfer("download one", "copy", "remote", "local", one=True),
    Transfer("upload", "copy", "local", "remote"),
    Transfer("upload one", "copy", "local", "remote", one=True),
    Transfer("copy within", "copy", "remote", "remote"),
    Looking("read", read, SMALL["a.bin"]),
    Looking("scan", scan, _SIZED),
    Looking("scan at first", scan_anew, _SIZED, only=("UNIT",), verbs=("options",)),
    Looking("list", list_names, ["a.bin", "b.bin", "c"]),
    Looking("stat", stat, 10_000),
    Looking("exists", exists, (True, False)),
    Deletion("delete one", ("a.bin",)),
    Deletion("delete many", ("a.bin", "c/d e.bin")),
    Deletion("delete directory", None),
    Writing("write"),
)

LARGE: tuple[Operation, ...] = (
    Transfer("move large down", "move", "remote", "local", large=True),
    Transfer("move large up", "move", "local", "remote", large=True),
    Transfer("move large up at once", "move", "local", "remote", large=True, part_size=5 * MiB, only=("GCP",)),
    Transfer("move large within", "move", "remote", "remote", large=True),
    Transfer("move large to another", "move", "remote", "other", large=True),
    Transfer("move large from another", "move", "other", "remote", large=True),
    Transfer("sync large down", "sync", "remote", "local", large=True),
    Transfer("sync large up", "sync", "local", "remote", large=True),
    Looking("read large", read_large, True, large=True),
    Writing("write large", large=True),
    Abandoned("abandoned upload", large=True, only=("AWS", "UNIT"), verbs=("abort", "forget")),
    Transfer("resume download", "copy", "remote", "local", large=True, resumes=True),
    Transfer("resume upload", "copy", "local", "remote", large=True, resumes=True),
    Transfer("resume move up", "move", "local", "remote", large=True, resumes=True),
)
