"""A wrong bit in a body, either way: found in every case, and put right."""

from __future__ import annotations

import logging
from pathlib import Path
from random import Random

import pytest

from dxflow_async.exceptions import TransferError
from tests.faults.proxied_providers import Site, hashes, make_tree
from tests.faults.proxy import Request
from tests.sessions import MiB

_log = logging.getLogger("tests.faults")


async def both_ways(site: Site, tree: Path, tmp_path: Path, rate: float) -> None:
    """A tree goes up and comes back, with a wrong bit in so many of the bodies that hold objects."""
    proxy = site.proxy(("flip",), rate=rate, seed=7)
    async with proxy.running(), site.session(tmp_path / "home", proxy.endpoint) as session:
        storage = await site.storage(session)
        up = await storage.upload(f"{tree}/", site / "to/")
        sent = proxy.faults.total()
        down = await storage.download(site / "to/", tmp_path / "back")
    received = proxy.faults.total() - sent
    _log.warning(
        "%d of %d bits sent and %d received were wrong; %d retries", sent, proxy.requests, received, up.retries
    )
    # What was stored is right by itself, not only after what came back was put right.
    async with site.session(tmp_path / "home") as session:
        await (await site.storage(session)).download(site / "to/", tmp_path / "stored")
    assert hashes(tmp_path / "stored") == hashes(tmp_path / "back") == hashes(tree)
    assert up.verified == down.verified == len(hashes(tree))
    assert min(sent, received) > 0
    assert up.retries >= sent
    # A body that is read a second time for its checksum only, or a part that is read anew, is no retry of its item.
    assert down.retries > 0
    site.check_nothing_left(tmp_path)


async def test_every_flipped_bit_is_found(site: Site, tree: Path, tmp_path: Path) -> None:
    """Of bodies up and down some have a wrong bit: no object is stored with it, and no file gets it."""
    await both_ways(site, tree, tmp_path, 0.06)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_every_flipped_bit_is_found_at_full_size(site: Site, tmp_path: Path) -> None:
    """The same with one in a hundred of two thousand files' bodies and three of 200 MiB."""
    await both_ways(site, make_tree(tmp_path / "tree", 2000, *[200 * MiB] * 3), tmp_path, 0.01)


async def test_large_download_is_mended(site: Site, tmp_path: Path) -> None:
    """Where parts came wrong, those are done again and not the whole, even when a quarter of them comes wrong."""
    tree = make_tree(tmp_path / "tree", 0, 100 * MiB)
    async with site.session(tmp_path / "home") as session:
        await (await site.storage(session)).upload(f"{tree}/", site / "to/")
    proxy = site.proxy(("flip",), rate=0.5, seed=3, limit=5)
    async with proxy.running(), site.session(tmp_path / "home", proxy.endpoint) as session:
        (result,) = await (await site.storage(session)).download(site / "to/", tmp_path / "back")
    assert hashes(tmp_path / "back") == hashes(tree)
    assert result.verified
    assert proxy.faults["flip"] == 5
    # Twenty parts, read a second time for their checksums; of another whole there would be twenty more.
    assert proxy.requests < 55
    site.check_nothing_left(tmp_path)


async def test_large_copy_between_providers_is_mended(aws: Site, gcp: Site, tmp_path: Path) -> None:
    """What comes wrong from one provider is found before the other one shows it, and only that part is sent again."""
    tree, random = make_tree(tmp_path / "tree", 0, 40 * MiB), Random(1)
    proxy = aws.proxy(("flip",), rate=1.0, seed=2, limit=1, applies=lambda request: _is_part(request, random))
    async with aws.session(tmp_path / "home") as session:
        await (await aws.storage(session)).upload(f"{tree}/", aws / "to/")
    async with (
        proxy.running(),
        aws.session(tmp_path / "home", proxy.endpoint, **gcp.configure(gcp.upstream)) as session,
    ):
        report = await session.copy(f"aws:{aws / 'to/large-0'}", f"gcp:{gcp / 'copied'}")
    assert proxy.faults["flip"] == 1
    assert [result.attempts for result in report] == [2]
    async with gcp.session(tmp_path / "home") as session:
        await (await gcp.storage(session)).download(gcp / "copied", tmp_path / "back")
    assert (tmp_path / "back/copied").read_bytes() == (tree / "large-0").read_bytes()
    gcp.check_nothing_left(tmp_path)


def _is_part(request: Request, random: Random) -> bool:
    return "range" in request.headers and random.random() < 0.5


async def test_flipped_bits_without_end_are_an_error(site: Site, tmp_path: Path) -> None:
    """What never arrives as it was sent is not stored under its name."""
    tree = make_tree(tmp_path / "tree", 0, 12 * MiB)
    async with site.session(tmp_path / "home") as session:
        await (await site.storage(session)).upload(f"{tree}/", site / "to/")
    (tmp_path / "back").write_bytes(b"old")
    proxy = site.proxy(("flip",), rate=1.0)
    async with proxy.running(), site.session(tmp_path / "home", proxy.endpoint, max_attempts=3) as session:
        with pytest.raises(TransferError, match="checksum") as raised:
            await (await site.storage(session)).download_many([(site / "to/large-0", str(tmp_path / "back"))])
    assert len(raised.value.report.failed) == 1
    assert (tmp_path / "back").read_bytes() == b"old"
    site.check_nothing_left(tmp_path)
