"""`python -m benchmarks start`: what a program pays before its first request, and what a session costs that is idle.

Each run is a process of its own, against a server that costs next to nothing. CPU seconds are what other work on the
machine does not move much; the walls are those of a quiet machine only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.cheap_stores import OwnStore
from benchmarks.competition import scratch
from benchmarks.contestants import clean_environment

__all__ = ["add_arguments", "run"]

_SCRIPT = """
import json, sys, tempfile
from time import perf_counter, process_time, sleep
began = perf_counter(), process_time()
import asyncio
from dxflow_async import AsyncSession, Settings
def since(then): return perf_counter() - then[0], process_time() - then[1]
imported, began = since(began), (perf_counter(), process_time())
async def main():
    global began
    with tempfile.TemporaryDirectory() as home:
        async with AsyncSession(settings=Settings(home=home)) as session:
            await session.get_storage_manager().exists("/bucket/nothing", "AWS")
            first, idle = since(began), (perf_counter(), process_time())
            await asyncio.sleep(2)
            heavy = [name for name in ("botocore", "aiobotocore", "aiohttp") if name in sys.modules]
            print(json.dumps({"import": imported, "first request": first, "idle for 2 s": since(idle), "heavy": heavy}))
asyncio.run(main())
"""

_STEPS = ("import", "first request", "idle for 2 s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--rounds", type=int, default=5, help="processes (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Start the processes one after the other, print the medians."""
    found = []
    with scratch(1 << 20) as directory, OwnStore.running(directory, rate=None) as store:
        place = store.place("bucket")
        environment = {
            **clean_environment(),
            "AWS_ACCESS_KEY_ID": place.access_key,
            "AWS_SECRET_ACCESS_KEY": place.secret_key,
            "AWS_REGION": place.region,
            "AWS_ENDPOINT_URL_S3": place.endpoint,
            "AWS_CONFIG_FILE": str(directory / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(directory / "none"),
        }
        for _ in range(options.rounds):
            command = [sys.executable, "-c", _SCRIPT]
            root = Path(__file__).parent.parent
            done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout))
    print("| step | wall | CPU |\n|---|---|---|")
    for step in _STEPS:
        wall, cpu = (1000 * median(each[step][place] for each in found) for place in range(2))
        print(f"| {step} | {wall:.0f} ms | {cpu:.0f} ms |")
    print(f"\nMedians of {options.rounds} processes. Loaded: {', '.join(found[-1]['heavy']) or 'no SDK'}.")
