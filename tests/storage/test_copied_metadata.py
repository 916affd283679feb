"""User metadata goes along with copies from cloud to cloud, or the item fails and names the entry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from itertools import permutations

import pytest

from dxflow_async import AsyncSession, TransferError, UnsupportedError
from tests.sessions import MiB
from tests.storage.scratch_directories import CloudSpot
from tests.storage.tested_accounts import Spots

pytestmark = pytest.mark.server

PLAIN = {"owner": "me", "purpose": "a test"}


def directory_at(spots: Spots, cloud: str, name: str) -> str:
    """The location of a directory at a cloud."""
    spot = spots(cloud, name)
    assert isinstance(spot, CloudSpot)
    return spot.location


async def store(session: AsyncSession, location: str, metadata: Mapping[str, str], size: int = 5) -> None:
    """Stores an object with metadata."""

    async def data() -> AsyncIterator[bytes]:
        yield bytes(size)

    cloud, _, path = location.partition(":")
    await session.get_storage_manager().write(path, data(), cloud.upper(), metadata=metadata)


async def metadata_of(session: AsyncSession, location: str) -> Mapping[str, str]:
    """The metadata of an object."""
    cloud, _, path = location.partition(":")
    return (await session.get_storage_manager().stat(path, cloud.upper())).metadata


@pytest.mark.parametrize(("source", "destination"), list(permutations(("AWS", "AZURE", "GCP"), 2)))
async def test_metadata_goes_along(everywhere: AsyncSession, spots: Spots, source: str, destination: str) -> None:
    """A small object and one of several parts keep their metadata, by each kind of call."""
    here, there = directory_at(spots, source, "metadata-here"), directory_at(spots, destination, "metadata-there")
    await store(everywhere, f"{here}/small", PLAIN)
    await store(everywhere, f"{here}/large", PLAIN, 11 * MiB)
    await everywhere.copy(f"{here}/", f"{there}/tree/")
    await everywhere.copy(f"{here}/small", f"{there}/one")
    await everywhere.sync(here, f"{there}/synced")
    for name in ("tree/small", "tree/large", "one", "synced/small", "synced/large"):
        assert await metadata_of(everywhere, f"{there}/{name}") == PLAIN, name


async def test_names_that_azure_does_not_have(everywhere: AsyncSession, spots: Spots) -> None:
    """A copy to Azure has underscores where a name is no identifier; two names that become one fail the item."""
    here, there = directory_at(spots, "AWS", "names-here"), directory_at(spots, "AZURE", "names-there")
    await store(everywhere, f"{here}/kept", {"s3cmd-attrs": "a", "2nd.name": "b"})
    await store(everywhere, f"{here}/alike", {"a-b": "1", "a.b": "2"})
    with pytest.raises(
        TransferError, match=r"names-there/alike refused: metadata 'a.b' .*becomes 'a_b', too"
    ) as failed:
        await everywhere.copy(f"{here}/", f"{there}/")
    assert [type(result.error) for result in failed.value.report.failed] == [UnsupportedError]
    assert await metadata_of(everywhere, f"{there}/kept") == {"s3cmd_attrs": "a", "_2nd_name": "b"}
    assert not await everywhere.get_storage_manager().exists(there.partition(":")[2] + "/alike", "AZURE")


@pytest.mark.parametrize(
    ("destination", "metadata", "message"),
    [
        ("AWS", {"short": "x", "note": "n" * 3000}, r"metadata 'note' cannot be kept: .* 2048 bytes; shorten it"),
        ("AWS", {"Name": "1", "name": "2"}, r"metadata '[Nn]ame' cannot be kept: another name differs .* in case"),
        ("AWS", {"n\u00e4me": "1"}, r"metadata 'n\u00e4me' cannot be kept: a name has only ASCII letters"),
        ("AZURE", {"note": "Ren\u00e9"}, r"metadata 'note' cannot be kept: Azure takes only ASCII"),
    ],
)
async def test_metadata_that_a_place_cannot_keep(
    everywhere: AsyncSession, spots: Spots, destination: str, metadata: dict[str, str], message: str
) -> None:
    """The item fails and says which entry it is; nothing is stored, and other items are copied."""
    here, there = directory_at(spots, "GCP", "limits-here"), directory_at(spots, destination, "limits-there")
    await store(everywhere, f"{here}/bad", metadata)
    await store(everywhere, f"{here}/good", {})
    with pytest.raises(TransferError, match=message) as failed:
        await everywhere.copy(f"{here}/", f"{there}/")
    assert len(failed.value.report.failed) == 1
    storage, path = everywhere.get_storage_manager(), there.partition(":")[2]
    assert await storage.exists(f"{path}/good", destination)
    assert not await storage.exists(f"{path}/bad", destination)


@pytest.mark.parametrize(("cloud", "limit"), [("AWS", 2048), ("AZURE", 8192), ("GCP", 8192)])
async def test_limits_of_size(everywhere: AsyncSession, spots: Spots, cloud: str, limit: int) -> None:
    """Metadata of exactly the limit is stored; one more byte is an error that names the largest entry."""
    place = directory_at(spots, cloud, "limits")
    fits = {"a": "x", "largest": "y" * (limit - 9)}
    if cloud != "AZURE":  # Azurite and the headers of an HTTP request in Node end at 16 KiB, with those of the request
        await store(everywhere, f"{place}/fits", fits)
        assert await metadata_of(everywhere, f"{place}/fits") == fits
    for size in (1, 11 * MiB):
        with pytest.raises(UnsupportedError, match=rf"metadata 'largest' cannot be kept: .* {limit + 1} bytes"):
            await store(everywhere, f"{place}/over", {**fits, "a": "xx"}, size)
    assert not await everywhere.get_storage_manager().exists(f"{place}/over".partition(":")[2], cloud)
