"""Costs that tests do not pay unless these costs are their subject: bringing files to disk, hashing passwords.

`tests/conftest.py` lowers both for this process. Processes that tests start pay them in full, and so do tests that
request the fixture `real_costs`. The package calls the same functions either way, in the same order, and raises the
same audit events.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from argon2 import PasswordHasher

from dxflow_async import durability
from dxflow_async.server.hub import accounts

__all__ = ["full_costs", "low_costs"]

_FSYNC, _LIBC, _HASHER = os.fsync, durability._libc, accounts._HASHER
_QUICK_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@contextmanager
def low_costs() -> Iterator[None]:
    """Leave bytes to the operating system, and hash passwords with the least that argon2id allows."""
    libc = SimpleNamespace(syncfs=lambda _: 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(durability, "_libc", lambda: libc)
        patch.setattr(accounts, "_HASHER", _QUICK_HASHER)
        accounts._hash_of_nobody.cache_clear()
        yield
    accounts._hash_of_nobody.cache_clear()


@contextmanager
def full_costs() -> Iterator[None]:
    """Undo `low_costs`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _FSYNC)
        patch.setattr(durability, "_libc", _LIBC)
        patch.setattr(accounts, "_HASHER", _HASHER)
        accounts._hash_of_nobody.cache_clear()
        yield
    accounts._hash_of_nobody.cache_clear()
