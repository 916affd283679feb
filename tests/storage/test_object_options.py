"""What a call stores with objects, at real servers: on the way up, within a cloud, and from cloud to cloud."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, ConfigurationError, Encryption, ObjectOptions, UnsupportedError
from tests.sessions import MiB
from tests.storage.tested_accounts import Spots

CLOUDS = ("AWS", "AZURE", "GCP")
SYSTEM = {
    "cache_control": "max-age=60",
    "content_disposition": 'attachment; filename="x.csv"',
    "content_encoding": "zstd",
    "content_language": "de",
}


async def _stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _stored(session: AsyncSession, location: str) -> dict[str, str]:
    """What `stat` of the provider says of the system metadata."""
    storage, path = await session.storage_at(location)
    area = await storage._find()
    entry = await area.provider.stat(area.key(path))
    # The emulator of Google keeps no language and no disposition of uploads.
    return dict(entry.system or {})


def _kept(provider: str) -> dict[str, str]:
    names = ("cache_control", "content_encoding") if provider == "GCP" else tuple(SYSTEM)
    return {name: SYSTEM[name] for name in names}


@pytest.mark.parametrize("size", [3, 12 * MiB], ids=["small", "in parts"])
@pytest.mark.parametrize("provider", CLOUDS)
async def test_system_metadata(
    everywhere: AsyncSession, spots: Spots, tmp_path: Path, provider: str, size: int
) -> None:
    """Uploads and streams store it, a copy within the cloud and one by way of each other cloud keep it."""
    spot, options = spots(provider, "from"), ObjectOptions(**SYSTEM)  # type: ignore[arg-type]
    (tmp_path / "file").write_bytes(b"x" * size)
    storage, top = await everywhere.storage_at(spot / "")
    await storage.upload(tmp_path / "file", f"{top}file", options=options)
    await storage.write(f"{top}stream", _stream(b"x" * size), options=options)
    await storage.copy(f"{top}file", f"{top}copy")
    for name in ("file", "stream", "copy"):
        assert (await _stored(everywhere, spot / name)).items() >= _kept(provider).items()
    for other in CLOUDS:
        if other != provider:
            target = spots(other, "to") / "file"
            await everywhere.copy(spot / "file", target)
            both = _kept(provider).items() & _kept(other).items()
            assert (await _stored(everywhere, target)).items() >= both


@pytest.mark.parametrize("provider", CLOUDS)
async def test_options_of_a_copy_win(everywhere: AsyncSession, spots: Spots, provider: str) -> None:
    """A copy with options has them instead of those of its source, and keeps the others."""
    storage, top = await everywhere.storage_at(spots(provider, "won") / "")
    options = ObjectOptions("text/csv", {"run": "7"}, cache_control="no-cache")
    await storage.write(f"{top}from", _stream(b"data"), options=options)
    await storage.copy(f"{top}from", f"{top}to", options=ObjectOptions(cache_control="max-age=60"))
    assert (await _stored(everywhere, spots(provider, "won") / "to"))["cache_control"] == "max-age=60"
    assert (await storage.stat(f"{top}to")).content_type == "text/csv"


@pytest.mark.parametrize(
    ("provider", "options", "reason"),
    [
        ("UNIT", ObjectOptions(storage_class="COLD"), "keeps no storage_class"),
        ("GCP", ObjectOptions(tags={"a": "b"}), "keeps no tags"),
        ("AZURE", ObjectOptions(encryption=Encryption.service()), "no encryption of the kind 'service'"),
        ("AWS", ObjectOptions(encryption=Encryption.scope("x")), "no encryption of the kind 'scope'"),
    ],
)
async def test_what_a_remote_cannot_do(
    everywhere: AsyncSession, spots: Spots, tmp_path: Path, provider: str, options: ObjectOptions, reason: str
) -> None:
    """An option that a remote does not keep is refused before anything is sent, by every verb."""
    storage, top = await everywhere.storage_at(spots(provider, "cannot") / "")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UnsupportedError, match=reason):
        await storage.upload(tmp_path / "file", f"{top}x", options=options)
    with pytest.raises(UnsupportedError, match=reason):
        await storage.write(f"{top}x", _stream(b"x"), options=options)
    with pytest.raises(UnsupportedError, match=reason):
        await everywhere.copy(str(tmp_path / "file"), spots(provider, "cannot") / "x", options=options)
    with pytest.raises(UnsupportedError, match="local files keep no"):
        await everywhere.copy(spots(provider, "cannot") / "x", str(tmp_path / "y"), options=options)
    assert not await storage.exists(f"{top}x")


async def test_fields_of_the_library(everywhere: AsyncSession, spots: Spots) -> None:
    """Options that only the library sets are refused, and a customer's key has 32 bytes and is never shown."""
    storage, top = await everywhere.storage_at(spots("AWS", "own") / "")
    with pytest.raises(ConfigurationError, match=r"ObjectOptions\.public is not allowed here"):
        await storage.write(f"{top}x", _stream(b""), options=ObjectOptions(public=True))
    with pytest.raises(ConfigurationError, match="32 bytes"):
        Encryption.customer(b"short")
    key = Encryption.customer(bytes(range(32)))
    assert key.key is not None
    shown = f"{key!r} {ObjectOptions(encryption=key)!r} {ObjectOptions(encryption=key).to_json()}"
    assert str(key.key) not in shown
