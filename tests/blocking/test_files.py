"""Objects as files of `io`, in the hands of libraries that read and write files."""

from __future__ import annotations

import csv
import gc
import io
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dxflow_async import AlreadyExistsError, NotFoundError, Session, Settings
from dxflow_async.blocking.area_storage import AreaStorage
from tests.servers import SeaweedFS
from tests.sessions import settings_for

MiB = 1 << 20


@pytest.fixture(params=["cloud", "stand_in"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AreaStorage]:
    """Storage at SeaweedFS, and a local directory in its place."""
    cloud = request.param == "cloud"
    if cloud:
        request.node.add_marker("server")
        weed: SeaweedFS = request.getfixturevalue("weed")
        with Session(settings=settings_for(weed, tmp_path / "home")) as session:
            yield session.get_storage_manager().at("aws")
    else:
        with Session("you@example.com", "password", settings=Settings(home=tmp_path / "home")) as session:
            yield session.get_storage_manager().at("aws")


@pytest.fixture
def top(storage: AreaStorage, request: pytest.FixtureRequest) -> str:
    """A directory of the test's own."""
    session = storage._session
    assert isinstance(session, Session)
    if session.settings.aws.endpoint is None:
        return "/bucket/area"
    prefix: str = request.getfixturevalue("prefix")
    return f"/{prefix.rstrip('/')}"


pytestmark = pytest.mark.server


def test_zipfile(storage: AreaStorage, top: str) -> None:
    """An archive is written in one stream, and read at any position."""
    with storage.open(f"{top}/a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for n in range(20):
            archive.writestr(f"member-{n}", bytes([n]) * 300_000)
    with storage.open(f"{top}/a.zip") as read, zipfile.ZipFile(read) as archive:
        assert archive.testzip() is None
        assert archive.read("member-7") == bytes([7]) * 300_000


def test_tarfile(storage: AreaStorage, top: str) -> None:
    """Streams and seeking archives work, compressed or not."""
    for mode in ("w:gz", "w|"):
        with storage.open(f"{top}/a.tar", "wb") as file, tarfile.open(fileobj=file, mode=mode) as archive:
            for n in range(5):
                member = tarfile.TarInfo(f"member-{n}")
                member.size = 100_000
                archive.addfile(member, io.BytesIO(bytes([n]) * 100_000))
        for how in ("r:*", "r|*"):
            with storage.open(f"{top}/a.tar") as read, tarfile.open(fileobj=read, mode=how) as archive:
                assert [member.name for member in archive] == [f"member-{n}" for n in range(5)]


def test_pyarrow(storage: AreaStorage, top: str) -> None:
    """Parquet is written and read, one column at a time, too."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"x": list(range(100_000)), "y": [float(n) for n in range(100_000)]})
    with storage.open(f"{top}/t.parquet", "wb") as file:
        parquet.write_table(table, file)
    with storage.open(f"{top}/t.parquet") as read:
        assert parquet.read_table(read).equals(table)
    with storage.open(f"{top}/t.parquet") as read:
        assert parquet.ParquetFile(read).read(["y"]).column("y").equals(table.column("y"))


def test_text_and_csv(storage: AreaStorage, top: str) -> None:
    """Text files take `csv` and keep the rules of `io`."""
    with storage.open(f"{top}/t.csv", "w", newline="") as file:
        csv.writer(file).writerows([[n, "ä\n"] for n in range(1000)])
    with storage.open(f"{top}/t.csv", "r", newline="") as read:
        assert list(csv.reader(read)) == [[str(n), "ä\n"] for n in range(1000)]


def test_real_files(storage: AreaStorage, top: str) -> None:
    """They are files of `io`, seek, and end where the object ends."""
    with storage.open(f"{top}/x", "wb") as file:
        assert isinstance(file, io.BufferedWriter)
        assert file.write(b"0123456789" * 100_000) == MiB - 48_576
        assert not file.seekable()
    with storage.open(f"{top}/x", "rb") as read:
        assert isinstance(read, io.BufferedReader)
        assert isinstance(read.raw, io.RawIOBase)
        assert read.seek(-3, io.SEEK_END) == 999_997
        assert read.read() == b"789"
        assert read.read(1) == b""
        read.seek(5)
        buffer = bytearray(5)
        assert read.readinto(buffer) == 5
        assert buffer == b"56789"
    assert read.raw.closed
    with pytest.raises(NotFoundError):
        storage.open(f"{top}/missing")
    with pytest.raises(AlreadyExistsError):
        storage.open(f"{top}/x", "xb")


def test_an_error_stores_nothing(storage: AreaStorage, top: str) -> None:
    """Neither a `with` block that raises nor a file that is dropped stores the half of an object."""
    for size in (10, 12 * MiB):
        with pytest.raises(ZeroDivisionError), storage.open(f"{top}/x", "wb") as file:
            file.write(bytes(1 // (file.write(bytes(size)) - size)))
        assert file.closed
    with pytest.raises(TypeError), storage.open(f"{top}/x", "w") as text:
        text.write("half" if text.write("half") != 4 else b"half")  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError), storage.open(f"{top}/x", "wb") as below, io.TextIOWrapper(below) as above:
        above.write(str(1 // (above.write("half") - 4)))
    with pytest.raises(ZeroDivisionError), closing(storage.open(f"{top}/x", "w")) as closed:
        closed.write(str(1 // (closed.write("half") - 4)))
    dropped = storage.open(f"{top}/x", "wb")
    dropped.write(b"half")
    with pytest.warns(ResourceWarning, match="nothing is stored"):  # noqa: PT031 - dropped, then collected
        del dropped
        gc.collect()
    dropped_text = storage.open(f"{top}/x", "w")
    dropped_text.write("half")
    with pytest.warns(ResourceWarning, match="nothing is stored"):  # noqa: PT031 - dropped, then collected
        del dropped_text
        gc.collect()
    assert not storage.exists(f"{top}/x")


def test_h5py(storage: AreaStorage, top: str) -> None:
    """A file of HDF5 is read at any position."""
    h5py = pytest.importorskip("h5py")
    numpy = pytest.importorskip("numpy")
    data, made = numpy.arange(500_000, dtype="f8").reshape(1000, 500), io.BytesIO()
    with h5py.File(made, "w") as file:
        file.create_dataset("group/x", data=data, chunks=(100, 100))
    with storage.open(f"{top}/x.h5", "wb") as written:
        written.write(made.getvalue())
    with storage.open(f"{top}/x.h5") as read, h5py.File(read, "r") as file:
        assert numpy.array_equal(file["group/x"][150:160, 20:280], data[150:160, 20:280])


def test_torch(storage: AreaStorage, top: str) -> None:
    """Weights are saved and loaded."""
    torch = pytest.importorskip("torch")
    weights = {"layer": torch.arange(100_000, dtype=torch.float32).reshape(100, 1000)}
    with storage.open(f"{top}/x.pt", "wb") as written:
        torch.save(weights, written)
    with storage.open(f"{top}/x.pt") as read:
        assert torch.equal(torch.load(read, weights_only=True)["layer"], weights["layer"])


def test_files_that_libraries_ask(storage: AreaStorage, top: str) -> None:
    """What loaders of weights ask of a file works: positions, pieces, and pickles in an archive."""
    with storage.open(f"{top}/x.pt", "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("data.pkl", pickle.dumps({"layer": list(range(1000))}))
        archive.writestr("data/0", bytes(range(256)) * 4000)
    with storage.open(f"{top}/x.pt") as read:
        assert (read.readable(), read.seekable(), read.writable(), read.tell()) == (True, True, False, 0)
        assert read.read(4) == b"PK\x03\x04"
        read.seek(0)
        with zipfile.ZipFile(read) as archive, archive.open("data/0") as data:
            assert pickle.loads(archive.read("data.pkl")) == {"layer": list(range(1000))}
            assert data.read(1000) == (bytes(range(256)) * 4)[:1000]
