"""The page about several processes and machines: its programs run, and its figures are those of the arithmetic."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

import dxflow_async
from dxflow_async.transfer.executor.estimate import estimate
from dxflow_async.transfer.executor.shard import Budget
from dxflow_async.transfer.executor.sizes import SHARDS_PER_WORKER, ShardSizes, share
from tests.docs.code_blocks import code_blocks
from tests.servers import SeaweedFS
from tests.sessions import settings_for

PATH = Path(dxflow_async.__file__).parent / "docs/scale.md"
PAGE = PATH.read_text("utf-8")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("block", code_blocks(PATH, "python")[:2], ids=["processes", "dask"])
def test_the_programs_run(weed: SeaweedFS, tmp_path: Path, block: str) -> None:
    """Each program of the page copies all files, as a file of its own, where S3 is configured."""
    if "dask" in block:
        pytest.importorskip("distributed")
    bucket = weed.create_bucket(f"quick-{uuid4().hex[:8]}")
    for number in range(20):
        if "dask" in block:
            weed.client.put_object(Bucket=bucket, Key=f"results/{number}", Body=b"result")
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "results" / str(number)).write_text("result")
    program = tmp_path / "program.py"
    program.write_text(block.replace("/bucket/", f"/{bucket}/"))
    aws = settings_for(weed, tmp_path).aws
    names = ("endpoint", "region", "access_key", "secret_key")
    variables = {f"DXFLOW_AWS_{name.upper()}": str(getattr(aws, name)) for name in names}
    environment = {**os.environ, **variables, "DXFLOW_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert (
        len(weed.client.list_objects_v2(Bucket=bucket, Prefix="copy/" if "dask" in block else "results/")["Contents"])
        == 20
    )


def test_the_figures_are_those_of_the_arithmetic() -> None:
    """The table for 10^9 objects and 1 PiB is what the functions return."""
    found = estimate(
        10**9,
        1 << 50,
        workers=100,
        objects_per_second=2000,
        bytes_per_second=1e9,
        planned_per_second=20_000,
    )
    cells = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", PAGE.partition("## How far it goes")[2], re.MULTILINE))
    put, listed, got = found.put_requests, found.list_requests, found.get_requests
    assert cells["shards"] == f"{found.shards:,}"
    assert cells["shards that are handed out at a time"] == str(found.shards_out)
    assert cells["list requests"] == f"{listed:,} ({listed * 0.005 / 1000:,.0f} USD)"
    assert cells["GET requests"] == f"{got:,} ({got * 0.0004 / 1000:,.0f} USD)"
    assert cells["PUT requests"] == f"{put:,} ({put * 0.005 / 1000:,.0f} USD)"
    assert cells["job file at the end"] == f"{found.journal_bytes / 1e9:.0f} GB"
    assert cells["hours by requests"] == f"{found.hours_by_requests:.1f}"
    assert cells["hours by bytes"] == f"{found.hours_by_bytes:.1f}"
    assert cells["hours by planning"] == f"{found.hours_by_planning:.1f}"
    assert found.hours == found.hours_by_planning


def test_shards_follow_the_time_they_take() -> None:
    """A shard grows until it lasts a second, or twenty of its requests, and shrinks when it lasts too long."""
    sizes = ShardSizes()
    for _ in range(20):
        sizes.took(sizes.items / 10_000, sizes.items, sizes.items * 1000, 0.001)
    assert sizes.items == 4096
    for _ in range(20):
        sizes.took(sizes.items / 200, sizes.items, sizes.items * 1000, 0.001)
    assert 150 <= sizes.items <= 250
    for _ in range(20):
        sizes.took(sizes.items / 200, sizes.items, sizes.items * 1000, 0.1)
    assert 300 <= sizes.items <= 500


def test_one_object_keeps_all_workers_busy() -> None:
    """The parts of one object are spread over three shards a worker, or one where shards would be short."""
    sizes = ShardSizes(bytes=1 << 30)
    for workers in (1, 2, 4, 100):
        parts = sizes.parts(8 << 20, 2 << 30, workers)
        assert parts >= 1
        shards = (2 << 30) / (parts * (8 << 20))
        assert shards >= workers * (1 if parts <= 8 else SHARDS_PER_WORKER)


def test_limits_are_divided() -> None:
    """Workers together stay within the limits of the call, and each of them may do something."""
    assert share(512, None, 4) == Budget(128, None)
    assert share(2, 1000, 4) == Budget(1, 250)
    assert share(512, 1000, 0) == Budget(512, 1000)
