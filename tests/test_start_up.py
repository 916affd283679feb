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


async def test_idle_session_takes_no_cpu(tmp_path: Path) -> None:
    """A session with an open connection neither polls nor wakes while nothing is asked of it."""
    with OneBucketServer() as server:
        async with AsyncSession(settings=Settings(home=tmp_path, gcp=server.settings)) as session:
            await session.get_storage_manager().list("GCP", "/bucket/")
            await asyncio.sleep(0.2)
            before = time.process_time()
            await asyncio.sleep(2.0)
            assert time.process_time() - before < 0.2
