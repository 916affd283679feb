"""Ours, by its public API, as the README shows it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import uvloop

from benchmarks.clients.job import Job, Place, measured
from dxflow_async import AsyncSession, AWSSettings, AzureSettings, GCPSettings, Settings


def _settings(job: Job, home: Path) -> Settings:
    aws, azure, gcp, ca_bundle = AWSSettings(), AzureSettings(), GCPSettings(), None
    for place in job.places:
        key, secret = place.access_key, place.secret_key
        if place.provider == "AWS":
            aws = AWSSettings(endpoint=place.endpoint, region=place.region, access_key=key, secret_key=secret)
        elif place.provider == "AZURE":
            azure = AzureSettings(endpoint=place.endpoint, account=key, account_key=secret)
        elif place.provider == "GCP":
            gcp = GCPSettings(endpoint=place.endpoint)
        ca_bundle = ca_bundle or (Path(place.ca_bundle) if place.ca_bundle else None)
    return Settings(home=home, ca_bundle=ca_bundle, aws=aws, azure=azure, gcp=gcp)


def _location(place: Place) -> str:
    return place.prefix if place.provider == "LOCAL" else f"{place.provider.lower()}:{_path(place)}"


def _path(place: Place) -> str:
    return f"/{place.bucket}/{place.prefix}"


async def _run(session: AsyncSession, job: Job) -> int:
    """How many items there were to do something with."""
    storage, provider, path = session.get_storage_manager(), job.place.provider, _path(job.place)
    if job.operation == "upload":
        return len(await storage.upload(job.directory + "/", path, provider))
    if job.operation == "download":
        return len(await storage.download(path, job.directory, provider))
    if job.operation == "copy":
        assert job.target is not None
        return len(await session.copy(_location(job.place), _location(job.target)))
    if job.operation == "sync":
        return len(await session.sync(job.directory, _location(job.place)))
    count = 0
    async for _ in storage.scan(provider, path):
        count += 1
    return count


async def _main() -> None:
    job = Job.from_arguments()
    with tempfile.TemporaryDirectory() as home:
        async with AsyncSession(settings=_settings(job, Path(home))) as session:
            for place in job.places:
                if place.bucket:
                    await session.get_storage_manager().exists(f"/{place.bucket}/nothing", place.provider)
            with measured() as figures:
                figures["items"] = await _run(session, job)


if __name__ == "__main__":
    uvloop.run(_main())
