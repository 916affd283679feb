"""Ours, by its public API, as the README shows it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import uvloop

from benchmarks.clients.job import Job, measured
from dxflow_async import AsyncSession, AWSSettings, Settings


async def _main() -> None:
    job = Job.from_arguments()
    aws = AWSSettings(endpoint=job.endpoint, region=job.region, access_key=job.access_key, secret_key=job.secret_key)
    remote = f"/{job.bucket}/{job.prefix}"
    with tempfile.TemporaryDirectory() as home:
        ca_bundle = None if job.ca_bundle is None else Path(job.ca_bundle)
        async with AsyncSession(settings=Settings(home=Path(home), ca_bundle=ca_bundle, aws=aws)) as session:
            storage = session.get_storage_manager()
            await storage.exists(f"/{job.bucket}/nothing")
            with measured():
                if job.operation == "upload":
                    await storage.upload(job.directory + "/", remote)
                else:
                    await storage.download(remote, job.directory)


if __name__ == "__main__":
    uvloop.run(_main())
