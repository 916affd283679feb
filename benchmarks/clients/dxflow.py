"""Ours, by its public API, as the README shows it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from benchmarks.clients.job import Place, TransferItem, measured
from dxflow_async import AsyncSession, AWSSettings, AzureSettings, GCPSettings, Progress, Settings


def _settings(job: TransferItem, home: Path) -> Settings:
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
    return Settings(
        home=home,
        transport=os.environ.get("DXFLOW_TRANSPORT", "auto"),
        journal=os.environ.get("DXFLOW_JOURNAL") != "false",
        durable=os.environ.get("DXFLOW_DURABLE") != "false",
        ca_bundle=ca_bundle,
        aws=aws,
        azure=azure,
        gcp=gcp,
    )


def _location(place: Place) -> str:
    return place.prefix if place.provider == "LOCAL" else f"{place.provider.lower()}:{_path(place)}"


def _path(place: Place) -> str:
    return f"/{place.bucket}/{place.prefix}"


async def _connect(
    session: AsyncSession, job: TransferItem, watch: Callable[[Progress], None]
) -> Callable[[], Awaitable[int]]:
    """What does the job, and says with how many items; the connection to every place is open."""
    if job.place.provider == "UNIT":
        return await _connect_unit(session, job)
    for place in job.places:
        if place.bucket:
            await session.get_storage_manager().exists(f"/{place.bucket}/nothing", place.provider)
    return _in_clouds(session, job, watch)


def _in_clouds(
    session: AsyncSession, job: TransferItem, watch: Callable[[Progress], None]
) -> Callable[[], Awaitable[int]]:
    storage, provider, path = session.get_storage_manager(), job.place.provider, _path(job.place)

    async def run() -> int:
        if job.operation == "upload":
            return len(await storage.upload(job.directory + "/", path, provider, on_progress=watch))
        if job.operation == "download":
            return len(await storage.download(path, job.directory, provider, on_progress=watch))
        if job.operation == "copy":
            assert job.target is not None
            return len(await session.copy(_location(job.place), _location(job.target), on_progress=watch))
        if job.operation == "sync":
            return len(await session.sync(job.directory, _location(job.place), on_progress=watch))
        if job.operation == "delete":
            return await storage.delete(path, provider)
        count = 0
        async for _ in storage.scan(provider, path):
            count += 1
        return count

    return run


async def _connect_unit(session: AsyncSession, job: TransferItem) -> Callable[[], Awaitable[int]]:
    """The unit is made known to the hub inside this process."""
    manager, secret = session.get_compute_manager(), job.place.secret_key
    unit = await manager.register("bench", job.place.endpoint, rw_secret=secret, ro_secret=f"{secret}-unused")
    await unit.storage.exists("/nothing")

    async def run() -> int:
        if job.operation == "upload":
            return len(await unit.storage.upload(job.directory + "/", f"/{job.place.prefix}"))
        return len(await unit.storage.download(f"/{job.place.prefix}", job.directory))

    return run


async def _main() -> None:
    job = TransferItem.from_arguments()
    email, password = ("bench@example.com", "only here") if job.place.provider == "UNIT" else (None, None)
    with tempfile.TemporaryDirectory() as home:
        async with AsyncSession(email, password, settings=_settings(job, Path(home))) as session:
            seen = [0]

            def watch(progress: Progress) -> None:
                seen[0] = progress.concurrency or seen[0]  # the last call of all comes when nothing is in flight

            run = await _connect(session, job, watch)
            with measured() as figures:
                figures["items"] = await run()
                figures["concurrency"] = seen[0]


if __name__ == "__main__":
    uvloop.run(_main())
