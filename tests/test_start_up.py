"""What starting costs, and what a session costs that does nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from tests.one_bucket_server import OneBucketServer
from tests.python_processes import clean_environment, run_script

HEAVY = ("aioboto3", "aiobotocore", "azure", "boto3", "botocore", "aiohttp", "asyncssh", "google")
"""Packages, or with a dot modules, that take a tenth of a second or more to import."""


@pytest.mark.parametrize("arguments", [["--help"], ["ls", "./"], ["cp", "--help"]], ids=" ".join)
def test_commands_that_need_no_service_load_no_heavy_module(tmp_path: Path, arguments: list[str]) -> None:
    """The help and a local listing import neither a cloud's SDK nor an HTTP server or client."""
    code = f"""
        import sys
        from dxflow_async.cli import main
        status = main({arguments})
        print("status", status, [name for name in sys.modules if name.split(".")[0] in {HEAVY}])
    """
    outcome = run_script(code, clean_environment(tmp_path), directory=tmp_path)
    assert outcome.stdout.splitlines()[-1] == "status 0 []", outcome.stderr


NOT_FOR_A_LISTING = (
    "aiohttp", "anyio", "asyncio", "attr", "crc32c", "cyclopts", "platformdirs", "rich", "sqlite3", "tomllib", "uvloop",
    "dxflow_async.config.loader", "dxflow_async.handles", "dxflow_async.net", "dxflow_async.session",
    "dxflow_async.storage", "dxflow_async.transfer",
)  # fmt: skip
"""Modules that a listing of a local directory has no use for; they would take most of its time."""


@pytest.mark.parametrize("arguments", [["ls", "./"], ["ls", "-l", "--json"], ["ls", "-h", "--total"]], ids=" ".join)
def test_a_local_listing_imports_only_what_it_needs(tmp_path: Path, arguments: list[str]) -> None:
    """Neither a parser of options, nor an event loop, nor a session, and fewer than 200 modules in all."""
    (tmp_path / "file").write_bytes(b"1")
    code = f"""
        import sys
        from dxflow_async.cli import main
        status = main({arguments})
        used = [name for name in {NOT_FOR_A_LISTING} if name in sys.modules]
        print("status", status, used, len(sys.modules) < 200 or len(sys.modules))
    """
    outcome = run_script(code, clean_environment(tmp_path / "home"), directory=tmp_path)
    assert "file" in outcome.stdout
    assert outcome.stdout.splitlines()[-1] == "status 0 [] True", outcome.stderr


def test_a_session_imports_no_work_before_it_is_done(tmp_path: Path) -> None:
    """A session that only lists loads neither what plans and moves items, nor journals, workers or compute units."""
    code = """
        import asyncio, sys
        from dxflow_async import AsyncSession
        async def main():
            async with AsyncSession() as session:
                await session.list("./")
        asyncio.run(main())
        parts = ("compute", "pages", "server", "storage.jobs", "transfer.engine", "transfer.executor.coordinator",
            "transfer.items", "transfer.journal.journal", "transfer.sync.sync", "transfer.planning.upload")
        print([name for name in parts if f"dxflow_async.{name}" in sys.modules])
    """
    outcome = run_script(code, clean_environment(tmp_path / "home"), directory=tmp_path)
    assert outcome.stdout.splitlines()[-1] == "[]", outcome.stderr


async def test_idle_session_takes_no_cpu(tmp_path: Path) -> None:
    """A session with an open connection neither polls nor wakes while nothing is asked of it."""
    with OneBucketServer() as server:
        async with AsyncSession(settings=Settings(home=tmp_path, gcp=server.settings)) as session:
            await session.get_storage_manager().list("GCP", "/bucket/")
            await asyncio.sleep(0.2)
            before = time.process_time()
            await asyncio.sleep(2.0)
            assert time.process_time() - before < 0.2
