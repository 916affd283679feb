"""The database of a hub: who may read it, how it is opened, and which versions of it are read."""

import asyncio
import hashlib
import os
import sqlite3
import stat
import sys
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.server.hub.accounts import Accounts, Credentials
from dxflow_async.server.hub.database import Store

ME = Credentials("me@example.org", "correct horse", "diphyx")


async def test_owner_only(tmp_path: Path) -> None:
    """Directory and files are made for the owner only, whatever the umask."""
    before = os.umask(0)
    try:
        store = await Store.open(tmp_path / "new" / "home")
        try:
            await Accounts(store).sign_in(ME, "peer")
            home = tmp_path / "new" / "home"
            assert stat.S_IMODE(home.stat().st_mode) == 0o700
            assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}
        finally:
            await store.aclose()
    finally:
        os.umask(before)


OPEN = """
import pathlib, sys, time
from dxflow_async.server.hub.database import open_database

print(flush=True)
start = float(sys.stdin.readline())
for number in range(120):
    while time.time() < start + number * 0.01:
        pass
    open_database(pathlib.Path(sys.argv[1]) / str(number)).close()
"""


async def test_opened_at_once(tmp_path: Path) -> None:
    """Processes that open a new database at the same moment all get it."""
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", OPEN, str(tmp_path)),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        await process.stdout.readline()
    start = f"{time.time() + 0.05}\n".encode()
    results = await asyncio.gather(*(process.communicate(start) for process in processes))
    assert [errors for _, errors in results] == [b""] * 4


async def test_newer_database_is_refused(tmp_path: Path) -> None:
    """A database that a newer version wrote is refused, naming file and versions, and left as it is."""
    path = tmp_path / "hub.sqlite3"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"hub\.sqlite3 has version 99 .* upgrade"):
        await Store.open(tmp_path)
    assert path.read_bytes() == before


async def test_unusable_database_is_refused(tmp_path: Path) -> None:
    """A file that is no database, and a home that is no directory, are refused by name."""
    (tmp_path / "hub.sqlite3").write_bytes(b"this is not a database" * 100)
    with pytest.raises(ConfigurationError, match=r"hub\.sqlite3 cannot be used: file is not a database"):
        await Store.open(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await Store.open(tmp_path / "hub.sqlite3")


OLD = """
CREATE TABLE accounts (pointer TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password TEXT NOT NULL,
    created REAL NOT NULL);
CREATE TABLE namespaces (pointer TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts, name TEXT NOT NULL,
    UNIQUE (account, name));
CREATE TABLE sign_ins (id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL REFERENCES accounts,
    namespace TEXT NOT NULL REFERENCES namespaces, user_digest BLOB NOT NULL, namespace_digest BLOB NOT NULL,
    created REAL NOT NULL);
CREATE INDEX sign_ins_by_account ON sign_ins (account);
CREATE TABLE failures (account TEXT NOT NULL REFERENCES accounts, peer TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX failures_by_account ON failures (account, peer, at);
PRAGMA user_version = 1;
"""


async def test_an_older_database_is_brought_up(tmp_path: Path) -> None:
    """A database of version 1 keeps its accounts, namespaces and sign-ins."""
    database = sqlite3.connect(tmp_path / "hub.sqlite3")
    database.executescript(OLD)
    digest = hashlib.sha256(b"secret").digest()
    with database:
        database.execute("INSERT INTO accounts VALUES ('p', ?, ?, 1.0)", (ME.email, PasswordHasher().hash(ME.password)))
        database.execute("INSERT INTO namespaces VALUES ('n', 'p', 'diphyx')")
        database.execute("INSERT INTO sign_ins VALUES (1, 'p', 'n', ?, ?, ?)", (digest, digest, time.time()))
    database.close()
    store = await Store.open(tmp_path)
    accounts = Accounts(store)
    try:
        assert await accounts.user("p", "secret") is not None
        issued = await accounts.sign_in(ME, "peer")
        assert (issued.user_pointer, issued.namespace_pointer, issued.created) == ("p", "n", False)
    finally:
        await store.aclose()
