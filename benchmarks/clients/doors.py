"""One row of `benchmarks doors`: `python -m benchmarks.clients.doors CONTESTANT ROW SCALE`, with the job as JSON first.

Every row compares its result with the data, which is made from a seed, outside of what is measured.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.clients.job import MiB, Place, TransferItem, measured

__all__ = ["ARRAY_SIDE", "COLUMNS", "LARGE", "SMALL", "numbers"]

SMALL, LARGE = 16 << 10, 256 * MiB
COLUMNS = 20
ARRAY_SIDE = 16_384
"""Of an array of 1 GiB of four-byte numbers at scale 1."""

_CHUNK_SIDE = 1024
_ONE_BY_ONE, _RANDOM = 300, 300

FileSystems = Callable[[Place], Any]


def _dxflow(place: Place) -> Any:
    from dxflow_async.doors.fsspec import DxflowFileSystem

    return DxflowFileSystem(settings=_settings(place))


def _settings(place: Place) -> Any:
    from dxflow_async import AWSSettings, Settings

    aws = AWSSettings(
        endpoint=place.endpoint, region=place.region, access_key=place.access_key, secret_key=place.secret_key
    )
    return Settings(aws=aws)


def _s3fs(place: Place) -> Any:
    from s3fs import S3FileSystem

    client = {"endpoint_url": place.endpoint, "region_name": place.region}
    return S3FileSystem(key=place.access_key, secret=place.secret_key, client_kwargs=client)


def _obstore(place: Place) -> Any:
    from obstore.fsspec import FsspecStore

    return FsspecStore("s3", **_obstore_options(place))


def _obstore_options(place: Place) -> dict[str, Any]:
    return {
        "endpoint": place.endpoint,
        "region": place.region,
        "access_key_id": place.access_key,
        "secret_access_key": place.secret_key,
        "virtual_hosted_style_request": False,
        "client_options": {"allow_http": True},
    }


_FILE_SYSTEMS: dict[str, tuple[str, FileSystems]] = {
    "dxflow-async": ("aws/", _dxflow),
    "s3fs": ("", _s3fs),
    "obstore": ("", _obstore),
}


def _array_store(contestant: str, place: Place) -> Any:
    if contestant == "dxflow-async":
        from dxflow_async.doors.zarr import DxflowStore

        return DxflowStore(f"aws:/{place.bucket}/{place.prefix}array", settings=_settings(place))
    if contestant == "obstore":
        from obstore.store import S3Store
        from zarr.storage import ObjectStore

        return ObjectStore(S3Store(place.bucket, prefix=f"{place.prefix}array", **_obstore_options(place)))
    from s3fs import S3FileSystem
    from zarr.storage import FsspecStore

    client = {"endpoint_url": place.endpoint, "region_name": place.region}
    filesystem = S3FileSystem(key=place.access_key, secret=place.secret_key, client_kwargs=client, asynchronous=True)
    return FsspecStore(filesystem, path=f"{place.bucket}/{place.prefix}array")


def numbers(scale: float) -> Any:
    """Returns the array of the rows of zarr."""
    import numpy as np

    side = max(round(ARRAY_SIDE * scale**0.5), _CHUNK_SIDE)
    return np.random.default_rng(18).random((side, side), dtype="f4")


def main() -> None:
    """Run the row."""
    contestant, row, scale = sys.argv[2], sys.argv[3], float(sys.argv[4])
    job = TransferItem.from_arguments()
    if row.startswith("zarr"):
        _zarr(contestant, row, scale, job.place)
        return
    start, make = _FILE_SYSTEMS[contestant]
    filesystem, top = make(job.place), f"{start}{job.place.bucket}/{job.place.prefix.rstrip('/')}"
    filesystem.info(f"{top}/large")  # imports and the first connection belong to no row
    _ROWS[row](filesystem, top, Path(job.directory))


def _zarr(contestant: str, row: str, scale: float, place: Place) -> None:
    import numpy as np
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    data, store = numbers(scale), _array_store(contestant, place)
    sync(store.exists("none"))  # imports and the first connection belong to no row
    if row == "zarr write":
        with measured():
            array = zarr.create_array(
                store,
                shape=data.shape,
                chunks=(_CHUNK_SIDE, _CHUNK_SIDE),
                dtype=data.dtype,
                compressors=None,
                overwrite=True,
            )
            array[:] = data
        return
    touched = np.ones_like(data)  # a virtual machine takes up to 2 s to get this memory from its host
    if row == "zarr read":
        buffer = default_buffer_prototype().nd_buffer.from_numpy_array(touched)
        with measured():
            zarr.open_array(store, mode="r").get_basic_selection(out=buffer)
        assert np.array_equal(touched, data)
        return
    del touched  # the system has it at hand, unless it gives it back to the host at once
    with measured():
        read = zarr.open_array(store, mode="r")[:]
    assert np.array_equal(np.asarray(read), data)


def _names(directory: Path) -> list[str]:
    return sorted(each.name for each in (directory / "small").iterdir())


def _cat(filesystem: Any, top: str, directory: Path) -> None:
    names = _names(directory)
    paths = [f"{top}/small/{name}" for name in names]
    with measured():
        found = filesystem.cat(paths)
    assert [len(data) for data in found.values()] == [SMALL] * len(names)


def _one_by_one(filesystem: Any, top: str, directory: Path) -> None:
    names = _names(directory)[:_ONE_BY_ONE]
    with measured():
        found = [filesystem.cat_file(f"{top}/small/{name}") for name in names]
    assert found == [(directory / "small" / name).read_bytes() for name in names]


def _random(filesystem: Any, top: str, directory: Path) -> None:
    chance, data = random.Random(18), (directory / "large").read_bytes()
    offsets = [chance.randrange(len(data) - 4096) for _ in range(_RANDOM)]
    with measured(), filesystem.open(f"{top}/large", "rb") as file:
        found = []
        for offset in offsets:
            file.seek(offset)
            found.append(file.read(4096))
    assert found == [data[offset : offset + 4096] for offset in offsets]


def _ranges(filesystem: Any, top: str, directory: Path) -> None:
    chance, data = random.Random(19), (directory / "large").read_bytes()
    starts = [chance.randrange(len(data) - 65536) for _ in range(_RANDOM)]
    ends = [start + 65536 for start in starts]
    with measured():
        found = filesystem.cat_ranges([f"{top}/large"] * _RANDOM, starts, ends)
    assert [bytes(each) for each in found] == [data[start:end] for start, end in zip(starts, ends, strict=True)]


def _parquet(filesystem: Any, top: str, directory: Path) -> None:
    from pyarrow import parquet

    with measured():
        table = parquet.read_table(f"{top}/table.parquet", columns=["c3", "c11"], filesystem=filesystem)
    assert table.equals(parquet.read_table(directory / "table.parquet", columns=["c3", "c11"]))


def _parquet_whole(filesystem: Any, top: str, directory: Path) -> None:
    from pyarrow import parquet

    with measured():
        table = parquet.read_table(f"{top}/table.parquet", filesystem=filesystem)
    assert table.equals(parquet.read_table(directory / "table.parquet"))


def _put_small(filesystem: Any, top: str, directory: Path) -> None:
    with measured():
        filesystem.put(str(directory / "small"), f"{top}/put/small", recursive=True)
    assert len(filesystem.find(f"{top}/put/small")) == len(_names(directory))
    filesystem.rm(f"{top}/put/small", recursive=True)


def _get_small(filesystem: Any, top: str, directory: Path) -> None:
    names = _names(directory)
    with _scratch(directory) as target:
        # Lists: obstore's file system does not get a directory.
        remote, local = [f"{top}/small/{name}" for name in names], [str(target / name) for name in names]
        with measured():
            filesystem.get(remote, local)
        for name in names:
            assert (target / name).read_bytes() == (directory / "small" / name).read_bytes()


def _put_large(filesystem: Any, top: str, directory: Path) -> None:
    with measured():
        filesystem.put_file(str(directory / "large"), f"{top}/put/large")
    assert filesystem.info(f"{top}/put/large")["size"] == (directory / "large").stat().st_size
    filesystem.rm_file(f"{top}/put/large")


def _get_large(filesystem: Any, top: str, directory: Path) -> None:
    with _scratch(directory) as target:
        with measured():
            filesystem.get_file(f"{top}/large", str(target / "large"))
        assert (target / "large").read_bytes() == (directory / "large").read_bytes()


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    with TemporaryDirectory(dir=directory) as name:
        yield Path(name)


_ROWS: dict[str, Callable[[Any, str, Path], None]] = {
    "small together": _cat,
    "small one by one": _one_by_one,
    "random reads": _random,
    "ranges": _ranges,
    "parquet columns": _parquet,
    "parquet whole": _parquet_whole,
    "put small": _put_small,
    "get small": _get_small,
    "put large": _put_large,
    "get large": _get_large,
}


if __name__ == "__main__":
    main()
