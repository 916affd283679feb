"""The blocking session on processes of this machine."""

from __future__ import annotations

from multiprocessing import active_children
from pathlib import Path

from dxflow_async import Session
from tests.servers import SeaweedFS
from tests.sessions import MiB, settings_for
from tests.transfer.executor.trees import content, make_files


def test_the_blocking_session(weed: SeaweedFS, place: str, tmp_path: Path) -> None:
    """The blocking session takes the same arguments, and ends its processes when it is closed."""
    files, before = make_files(tmp_path / "files", 50, large=12 * MiB), set(active_children())
    with Session(settings=settings_for(weed, tmp_path / "home", part_size=5 * MiB), progress=False) as session:
        storage = session.get_storage_manager()
        assert storage.upload(f"{files}/", place, "AWS", processes=1).ok
        assert storage.download(place, f"{tmp_path}/back/", "AWS", processes=1).ok
        (worker,) = set(active_children()) - before
        # Secrets go through a pipe, not where other users of the machine might see them.
        shown = b"".join(Path(f"/proc/{worker.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
        assert weed.secret_key.encode() not in shown
    assert not worker.is_alive()
    assert content(tmp_path / "back") == content(files)
