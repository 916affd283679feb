"""A bare loop around aiohttp: it reads each file and puts it, or gets each object and writes it, and nothing else.

No signature, no checksum, no retry, no journal, no temporary name: the least that aiohttp can do it for.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.cheap_s3 import BIG_SIZE, COUNT, small_name
from benchmarks.clients.job import TransferItem, measured

MiB = 1 << 20
_WORKERS = 48
_PART_SIZE = 8 * MiB
_READ_SIZE = MiB


async def _run(work: Iterable[Callable[[], Awaitable[None]]]) -> int:
    count, pending = 0, iter(work)

    async def worker() -> None:
        nonlocal count
        for step in pending:
            await step()
            count += 1

    await asyncio.gather(*(worker() for _ in range(_WORKERS)))
    return count


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _put_file(session: aiohttp.ClientSession, path: Path, url: str) -> Callable[[], Awaitable[None]]:
    async def step() -> None:
        async with session.put(url, data=_read(path)) as response:
            response.raise_for_status()

    return step


def _put_part(session: aiohttp.ClientSession, descriptor: int, start: int, url: str) -> Callable[[], Awaitable[None]]:
    async def body() -> AsyncIterator[bytes]:
        for offset in range(start, start + _PART_SIZE, _READ_SIZE):
            yield os.pread(descriptor, _READ_SIZE, offset)

    async def step() -> None:
        headers = {"content-length": str(_PART_SIZE)}
        async with session.put(url, data=body(), headers=headers) as response:
            response.raise_for_status()

    return step


def _get_file(session: aiohttp.ClientSession, url: str, path: Path) -> Callable[[], Awaitable[None]]:
    async def step() -> None:
        async with session.get(url) as response:
            _write(path, await response.read())

    return step


def _get_part(session: aiohttp.ClientSession, url: str, descriptor: int, start: int) -> Callable[[], Awaitable[None]]:
    async def step() -> None:
        offset = start
        headers = {"range": f"bytes={start}-{start + _PART_SIZE - 1}"}
        async with session.get(url, headers=headers) as response:
            while chunk := await response.content.readany():
                offset += os.pwrite(descriptor, chunk, offset)
        if offset != start + _PART_SIZE:
            raise ValueError("the part is short")

    return step


async def _upload(session: aiohttp.ClientSession, job: TransferItem, base: str) -> int:
    files = job.files()
    if len(files) > 1:
        return await _run(_put_file(session, path, f"{base}/{key}") for path, key, _ in files)
    path, key, size = files[0]
    descriptor = os.open(path, os.O_RDONLY)
    await _run(
        _put_part(session, descriptor, start, f"{base}/{key}?partNumber={start // _PART_SIZE + 1}&uploadId=1")
        for start in range(0, size, _PART_SIZE)
    )
    os.close(descriptor)
    return 1


async def _download(session: aiohttp.ClientSession, job: TransferItem, base: str) -> int:
    if job.place.bucket == "small":
        keys = [f"{job.place.prefix}{small_name(number)}" for number in range(COUNT)]
        return await _run(_get_file(session, f"{base}/{key}", job.path_of(key)) for key in keys)
    key = f"{job.place.prefix}000/00000.bin"
    descriptor = os.open(job.path_of(key), os.O_WRONLY | os.O_CREAT)
    await _run(_get_part(session, f"{base}/{key}", descriptor, start) for start in range(0, BIG_SIZE, _PART_SIZE))
    os.close(descriptor)
    return 1


async def _main() -> None:
    job = TransferItem.from_arguments()
    tls = ssl.create_default_context(cafile=job.place.ca_bundle) if job.place.ca_bundle else True
    base = f"{job.place.endpoint}/{job.place.bucket}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=tls)) as session:
        async with session.head(f"{base}/nothing"):
            pass
        with measured() as figures:
            figures["items"] = await (_upload if job.operation == "upload" else _download)(session, job, base)


if __name__ == "__main__":
    uvloop.run(_main())
