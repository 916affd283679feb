from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import threading
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, TransferReport
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import DxflowError, StorageError, TransferError, UnsafePathError
from dxflow_async.paths import fold_name, local_name
from dxflow_async.providers.contract import ObjectOptions, Part
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.local.root import Root
from dxflow_async.providers.unit.provider import UnitProvider
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.engine import Engine
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.destination import LocalDestination
from dxflow_async.transfer.planning.name_claims import NameClaims
from dxflow_async.transfer.planning.relocate import relocate
from dxflow_async.transfer.progress import Meter
from dxflow_async.transfer.retry import RetryPolicy
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer
from tests.security.names import HARMLESS, REFUSED, SPECIAL_ELSEWHERE

Fetch = Callable[[AsyncSession, str, Path], Awaitable[TransferReport]]


async def by_download(session: AsyncSession, bucket: str, destination: Path) -> TransferReport:
    return await session.get_storage_manager().download(f"/{bucket}/", destination)


async def by_copy(session: AsyncSession, bucket: str, destination: Path) -> TransferReport:
    return await session.copy(f"aws:/{bucket}/", f"{destination}/")


async def by_sync(session: AsyncSession, bucket: str, destination: Path) -> TransferReport:
    return await session.sync(f"aws:/{bucket}/", destination)


async def by_pairs(session: AsyncSession, bucket: str, destination: Path) -> TransferReport:
    storage = session.get_storage_manager()
    keys = [item.path async for item in storage.scan(path=f"/{bucket}/")]
    return await storage.download_many((key, os.path.join(destination, f"{n}")) for n, key in enumerate(keys))


async def store(session: AsyncSession, bucket: str, names: list[str]) -> None:
    area = await session.get_storage_manager()._resolver.area("AWS", "private")
    for name in names:
        await area.provider.write(f"{bucket}/{name}", body(name.encode()), ObjectOptions())


def files_below(directory: Path) -> dict[str, bytes]:
    found = {}
    for top, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(top, name)
            found[os.path.relpath(path, directory)] = Path(path).read_bytes()
    return found


async def reported(transfer: Awaitable[TransferReport]) -> TransferReport:
    try:
        return await transfer
    except TransferError as error:
        return error.report


@pytest.mark.parametrize("fetch", [by_download, by_copy, by_sync])
async def test_hostile_names(session: AsyncSession, odd_bucket: str, destination: Path, fetch: Fetch) -> None:
    """Each name that would lead elsewhere is an UnsafePathError in the report; all others arrive under their names."""
    expected = [name for name in (*SPECIAL_ELSEWHERE, *HARMLESS) if "\n" not in name]  # of which moto makes no object
    await store(session, odd_bucket, [*REFUSED, *expected])
    report = await reported(fetch(session, odd_bucket, destination))
    refused = {
        result.source.removeprefix(f"aws:/{odd_bucket}/").removeprefix(f"/{odd_bucket}/") for result in report.failed
    }
    assert refused == set(REFUSED)
    assert {type(result.error) for result in report.failed} == {UnsafePathError}
    assert files_below(destination) == {name: name.encode() for name in expected}
    assert files_below(destination.parent / "outside") == {"secret": b"secret"}
    assert set(os.listdir(destination.parent)) <= {"destination", "home", "outside"}


@pytest.mark.parametrize("name", HARMLESS, ids=ascii)
def test_harmless_names(name: str) -> None:
    """A name that only looks dangerous is taken as it is."""
    assert local_name(name) == name


@pytest.mark.parametrize("fetch", [by_download, by_copy, by_sync])
async def test_links_planted_in_the_destination(
    session: AsyncSession, odd_bucket: str, destination: Path, fetch: Fetch
) -> None:
    """A directory that is a link out is not written into; a link in the place of a file stays, and is not followed."""
    outside = destination.parent / "outside"
    (destination / "dir").symlink_to(outside)
    (destination / "up").symlink_to("..")
    (destination / "file").symlink_to(outside / "secret")
    (destination / "loop").symlink_to("loop")
    await store(session, odd_bucket, ["dir/secret", "dir/deep/new", "up/new", "loop/new", "file", "fine"])
    report = await reported(fetch(session, odd_bucket, destination))
    assert {type(result.error) for result in report.failed} == {UnsafePathError}
    assert len(report.failed) == 5
    assert files_below(outside) == {"secret": b"secret"}
    assert (destination / "file").is_symlink()
    assert (destination / "fine").read_bytes() == b"fine"
    assert (
        sorted(os.listdir(destination.parent)) == ["destination", "home", "outside"]
        or not (destination.parent / "new").exists()
    )


CLASHES = ["README", "readme", "dir/File", "DIR/file", "Caf\u00e9", "Cafe\u0301", "alone"]


@pytest.mark.parametrize("fetch", [by_download, by_copy, by_sync])
async def test_names_that_a_disk_takes_for_one(
    session: AsyncSession, odd_bucket: str, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where case or Unicode forms do not count, of several such names one arrives, and the others are refused."""
    await store(session, odd_bucket, CLASHES)
    monkeypatch.setattr(Root, "folds_names", lambda self, key, mark: True)
    report = await reported(fetch(session, odd_bucket, destination))
    assert {type(result.error) for result in report.failed} == {UnsafePathError}
    assert len(report.failed) == 3
    assert sorted(fold_name(name) for name in files_below(destination)) == ["alone", "caf\u00e9", "dir/file", "readme"]


@pytest.mark.parametrize("fetch", [by_download, by_copy, by_sync])
async def test_names_that_only_look_alike(
    session: AsyncSession, odd_bucket: str, destination: Path, fetch: Fetch
) -> None:
    """Where the disk tells such names apart, all of them arrive."""
    if await asyncio.to_thread(Root(destination).folds_names, "", "0123abcd"):
        pytest.skip("this disk does not tell them apart")
    await store(session, odd_bucket, CLASHES)
    await fetch(session, odd_bucket, destination)
    assert files_below(destination) == {name: name.encode() for name in CLASHES}


def test_what_a_disk_confuses_is_looked_up(tmp_path: Path) -> None:
    """The answer is the disk's own, and nothing is left of the question."""
    (tmp_path / "Seen").touch()
    (tmp_path / "\u00e9").touch()
    confused = (tmp_path / "sEEN").exists() or (tmp_path / unicodedata.normalize("NFD", "\u00e9")).exists()
    assert Root(tmp_path).folds_names("", "0123abcd") == Root(tmp_path).folds_names("below/", "0123abcd") == confused
    assert sorted(os.listdir(tmp_path)) == ["Seen", "below", "\u00e9"]
    assert os.listdir(tmp_path / "below") == []


async def test_pairs_with_one_file(session: AsyncSession, odd_bucket: str, destination: Path) -> None:
    """Of two objects that are to become one file, however that is written, the second is refused."""
    await store(session, odd_bucket, ["a", "b", "c"])
    pairs = [
        (f"/{odd_bucket}/a", f"{destination}/x"),
        (f"/{odd_bucket}/b", f"{destination}/./y/../x"),
        (f"/{odd_bucket}/c", f"{destination}/X"),
    ]
    report = await reported(session.get_storage_manager().download_many(pairs))
    assert [type(result.error) for result in report.failed] == [UnsafePathError]
    assert files_below(destination) == {"x": b"a", "X": b"c"}


async def test_pairs_of_hostile_names(session: AsyncSession, odd_bucket: str, destination: Path) -> None:
    """A name that is the user's own choice is written, whatever the object is called."""
    await store(session, odd_bucket, ["../climbs", "nul\0byte"])
    await by_pairs(session, odd_bucket, destination)
    assert files_below(destination) == {"0": b"../climbs", "1": b"nul\0byte"}


async def test_a_pattern_that_matches_one_name_twice(session: AsyncSession, odd_bucket: str, tmp_path: Path) -> None:
    """Two files of one name, put into one directory, do not replace each other: neither here nor at a provider."""
    for top in ("one", "two"):
        (tmp_path / "from" / top).mkdir(parents=True)
        (tmp_path / "from" / top / "data.csv").write_text(top)
    for destination in (f"{tmp_path}/to/", f"aws:/{odd_bucket}/to/"):
        with pytest.raises(TransferError) as raised:
            await session.copy(f"{tmp_path}/from/*/data.csv", destination)
        assert [type(result.error) for result in raised.value.report.failed] == [UnsafePathError]
    assert (tmp_path / "to/data.csv").read_text() == "one"


def test_a_claim_is_kept_by_whoever_has_it() -> None:
    """A name goes to the first who asks, and stays theirs when a listing repeats itself."""
    claims = NameClaims()
    assert claims.take("/out/a", "/from/a")
    assert claims.take("/out/a", "/from/a")
    assert claims.take("/out/A", "/from/A")
    assert not claims.take("/out/a", "/elsewhere/a")


async def test_a_link_swapped_in_while_files_are_written(destination: Path) -> None:
    """While a directory and a link out change places all the time, nothing behind the link is written or removed."""
    outside, stop, threads = destination.parent / "outside", threading.Event(), Threads(4)
    provider = LocalProvider(destination, threads)

    def swap() -> None:
        real, link, now = destination / ".real", destination / ".link", destination / "now"
        link.symlink_to("../outside")
        while not stop.is_set():
            for old, new in ((now, real), (link, now), (now, link), (real, now)):
                # Where the writer has made a directory meanwhile, it goes.
                while old.is_symlink() or old.exists():
                    with contextlib.suppress(OSError):
                        os.rename(old, new)
                        break
                    shutil.rmtree(new, ignore_errors=True)

    async def in_parts(number: int) -> None:
        upload = await provider.start_upload(f"now/part-{number}", 1, ObjectOptions())
        try:
            await upload.finish([await upload.write_part(Part(1, 0, 1), body(b"x"))], None)
        except BaseException:
            await upload.abort()
            raise

    swapping = asyncio.create_task(asyncio.to_thread(swap))
    outcomes = set()
    try:
        for number in range(100):
            for attempt in (
                provider.write(f"now/file-{number}", body(b"x"), ObjectOptions()),
                provider.write(f"now/deep/file-{number}", body(b"x"), ObjectOptions()),
                in_parts(number),
                provider.make_directory(f"now/made-{number}/"),
                provider.delete_one("now/secret"),
                provider.rename(f"now/file-{number}", f"now/moved-{number}"),
            ):
                try:
                    await attempt
                    outcomes.add("done")
                except (DxflowError, OSError) as error:
                    outcomes.add(type(error).__name__)
    finally:
        stop.set()
        await swapping
        threads.close()
    assert files_below(outside) == {"secret": b"secret"}
    assert os.listdir(outside) == ["secret"]
    assert {"done", "UnsafePathError"} <= outcomes


async def test_a_unit_that_lists_hostile_names(destination: Path) -> None:
    """What a unit lists is not trusted: a name that is none ends the listing, and nothing is written for it."""
    threads = Threads(2)
    http = HTTP(threads)
    for name in (*REFUSED, "a/b", "", "..%2f", "a\\..\\b"):
        item = {"name": name, "directory": False, "size": 1, "modification": 1.0}
        listing = answer(body=json.dumps([item]).encode())
        async with ScriptedServer(listing) as server:
            unit = UnitProvider("Demo", server.url, "secret", http, threads)
            limits, policy = Limits(4, 64 << 20), RetryPolicy(1)
            route = TransferContext(limits, policy, Meter(None), 8 << 20, threads)
            source, end = Place(unit, "", "unit:/Demo/"), LocalDestination(f"{destination}/", threads, into=True)
            jobs = relocate(route, source, end, ObjectOptions(), operation="download")
            try:
                report = await Engine(lambda: 4, route.meter).run(jobs)
            except StorageError:
                report = TransferReport([], 0.0)
        assert not [result for result in report if result.error is None] or name in ("..%2f", "a\\..\\b"), name
        assert files_below(destination.parent / "outside") == {"secret": b"secret"}
        assert sorted(os.listdir(destination.parent)) == ["destination", "outside"]
    await http.aclose()
    threads.close()
