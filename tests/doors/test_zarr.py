"""zarr's own suite for stores, and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dxflow_async import GCPSettings, Session, Settings
from tests.servers import GCSServer, SeaweedFS
from tests.sessions import settings_for

pytest.importorskip("zarr", reason="the suite is zarr's")

import numpy as np
import zarr
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import Buffer, cpu
from zarr.testing.store import StoreTests

from dxflow_async.doors.zarr import DxflowStore

pytestmark = pytest.mark.server


@pytest.fixture(
    params=["local", pytest.param("aws", marks=pytest.mark.long), pytest.param("gcp", marks=pytest.mark.long)]
)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Settings]:
    """A location, and settings that know it."""
    if request.param == "aws":
        weed: SeaweedFS = request.getfixturevalue("weed")
        settings = settings_for(weed, tmp_path / "home")
        return f"aws:/{request.getfixturevalue('bucket')}/{uuid4().hex[:8]}", settings
    if request.param == "gcp":
        gcs: GCSServer = request.getfixturevalue("gcs")
        settings = Settings(home=tmp_path / "home", gcp=GCPSettings(endpoint=gcs.endpoint))
        return f"gcp:/{request.getfixturevalue('gcs_bucket')}/{uuid4().hex[:8]}", settings
    return str(tmp_path / "store"), Settings(home=tmp_path / "home")


# The suite closes no store, and ends the event loops that their connections belong to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestStore(StoreTests[DxflowStore, cpu.Buffer]):
    """What every store of zarr does."""

    store_cls = DxflowStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, where: tuple[str, Settings]) -> dict[str, Any]:
        """The arguments of the store."""
        return {"location": where[0], "settings": where[1]}

    async def set(self, store: DxflowStore, key: str, value: Buffer) -> None:
        """Stores a value behind the store's back."""
        import asyncio

        def put() -> None:
            with Session(settings=store._options["settings"]) as session:
                (session.path(store._top.text) / key).write_bytes(value.to_bytes())

        await asyncio.to_thread(put)

    async def get(self, store: DxflowStore, key: str) -> Buffer:
        """Reads a value behind the store's back."""
        import asyncio

        def read() -> bytes:
            with Session(settings=store._options["settings"]) as session:
                return (session.path(store._top.text) / key).read_bytes()

        return cpu.Buffer.from_bytes(await asyncio.to_thread(read))

    def test_store_repr(self, store: DxflowStore) -> None:
        """The repr names the location."""
        assert store._top.text in repr(store)

    def test_store_supports_writes(self, store: DxflowStore) -> None:
        """It is written to."""
        assert store.supports_writes

    def test_store_supports_listing(self, store: DxflowStore) -> None:
        """It can be listed."""
        assert store.supports_listing


def test_an_array(where: tuple[str, Settings]) -> None:
    """A chunked and a sharded array come back as they were written, whole and in pieces."""
    location, settings = where
    data = np.arange(400 * 300, dtype="f8").reshape(400, 300)
    for name, shards in (("plain", None), ("sharded", (200, 300))):
        store = DxflowStore(f"{location}/{name}", settings=settings)
        array = zarr.create_array(store, shape=data.shape, chunks=(100, 100), shards=shards, dtype="f8")
        array[:] = data
        read = zarr.open_array(DxflowStore(f"{location}/{name}", settings=settings, read_only=True), mode="r")
        assert np.array_equal(np.asarray(read[:]), data)
        assert np.array_equal(np.asarray(read[150:160, 20:280]), data[150:160, 20:280])
    group = zarr.open_group(DxflowStore(location, settings=settings), mode="a")
    assert sorted(name for name, _ in group.arrays()) == ["plain", "sharded"]


async def test_creation_and_empty_values(tmp_path: Path) -> None:
    """Of many that set one key if it does not exist one wins, and ranges of an empty value are empty."""
    import asyncio

    store = DxflowStore(tmp_path / "store", settings=Settings(home=tmp_path / "home"))
    values = [cpu.Buffer.from_bytes(bytes([number])) for number in range(8)]
    await asyncio.gather(*(store.set_if_not_exists("key", value) for value in values))
    won = await store.get("key", cpu.buffer_prototype)
    assert won is not None
    await store.set_if_not_exists("key", cpu.Buffer.from_bytes(b"later"))
    again = await store.get("key", cpu.buffer_prototype)
    assert again is not None
    assert again.to_bytes() == won.to_bytes()
    await store.set("empty", cpu.Buffer.from_bytes(b""))
    empty = await store.get("empty", cpu.buffer_prototype, RangeByteRequest(0, 10))
    assert empty is not None
    assert len(empty) == 0


def test_the_stateful_suite(tmp_path: Path) -> None:
    """Any order of calls does what zarr's store in memory does."""
    from hypothesis import HealthCheck
    from hypothesis import settings as hypothesis_settings
    from hypothesis.stateful import run_state_machine_as_test
    from zarr.testing.stateful import ZarrStoreStateMachine

    made = 0

    def machine() -> ZarrStoreStateMachine:
        nonlocal made
        made += 1
        store = DxflowStore(tmp_path / str(made), settings=Settings(home=tmp_path / "home"))
        return ZarrStoreStateMachine(store)

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]
        settings=hypothesis_settings(
            max_examples=5, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert made >= 5
