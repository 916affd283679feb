"""The documented calls of a unit's storage, one after the other, on a unit that is an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async import Settings
from dxflow_async.blocking.session import Session
from dxflow_async.exceptions import StorageError
from dxflow_async.providers.engine.settings import EngineSettings
from tests.servers.engine_thread import engine_on_a_thread


def test_every_documented_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`list`, `ls`, `upload`, `download`, `mkdir`, `copy`, `move` and `delete` do what the manual of units says."""
    (tmp_path / "data.csv").write_bytes(b"a,b\n")
    (tmp_path / "downloads").mkdir()
    with engine_on_a_thread(tmp_path / "volume") as engine:
        lab = EngineSettings(address=engine.url, key=engine.write_key(tmp_path / "key.pem"))
        with Session(
            settings=Settings(home=tmp_path / "home", hub="http://127.0.0.1:1", units={"Demo": lab})
        ) as session:
            storage = session.get_compute_manager().get_unit(name="Demo").storage

            storage.mkdir("/results")
            assert (engine.root / "results").is_dir()
            storage.upload(f"{tmp_path}/data.csv", "/results/")
            storage.upload(src=f"{tmp_path}/data.csv", dst="/results/renamed.csv")
            assert sorted(path.name for path in (engine.root / "results").iterdir()) == ["data.csv", "renamed.csv"]

            storage.ls()
            lines = capsys.readouterr().out.splitlines()
            assert [(line.split()[0], line.split()[-1]) for line in lines] == [("d", "results")]
            storage.ls("/results/", recursive=True)
            assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["data.csv", "renamed.csv"]
            listed = storage.list(path="/", recursive=True, return_info=True)
            assert [item.path for item in listed] == ["/results/data.csv", "/results/renamed.csv"]
            assert [item.name for item in storage.list("/", return_info=True)] == ["results"]

            storage.download("/results/data.csv", str(tmp_path / "downloads"))
            storage.download(src="/results/data.csv", dst=str(tmp_path / "new" / "directory"), create_dir=True)
            assert (tmp_path / "downloads" / "data.csv").read_bytes() == b"a,b\n"
            assert (tmp_path / "new" / "directory" / "data.csv").read_bytes() == b"a,b\n"

            storage.copy("/results/data.csv", "/copied.csv")
            storage.copy("/results/", "/all/")
            storage.move("/copied.csv", "/moved.csv")
            storage.move("/all/", "/elsewhere/")
            assert (engine.root / "moved.csv").read_bytes() == b"a,b\n"
            assert not (engine.root / "copied.csv").exists()
            found = sorted(str(path.relative_to(engine.root)) for path in engine.root.rglob("*.csv"))
            assert [name for name in found if name.startswith("all/")] == []
            assert len([name for name in found if name.startswith("elsewhere/")]) == 2

            storage.delete("/moved.csv")
            storage.delete("/elsewhere/")
            storage.delete("/results/")
            assert list(engine.root.iterdir()) == []
            with pytest.raises(StorageError):
                storage.download("/results/data.csv", str(tmp_path / "downloads"))
