"""A process whose working directory was removed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.python_processes import clean_environment, run_script

_SCRIPT = """
    import asyncio, os
    from pathlib import Path
    gone = Path(os.environ["ROOT"]) / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    from dxflow_async import AsyncSession, ConfigurationError, NotFoundError, Session
    from dxflow_async.providers.local.kind import LocalSettings

    async def refused(call, kind=ConfigurationError, words="write absolute paths"):
        try:
            await call
        except kind as error:
            assert words in str(error), error
        else:
            raise AssertionError

    async def run(root):
        (root / "a").mkdir()
        (root / "a" / "file").write_bytes(b"content")
        remotes = {"disk": LocalSettings(root=root / "disk")}
        async with AsyncSession("me@example.com", "secret-word", remotes=remotes) as session:
            storage = session.get_storage_manager()
            await session.copy(f"{root}/a/", f"{root}/b/")
            await session.sync(f"{root}/a/", "disk:/bucket/c/")
            await storage.upload(root / "a" / "file", "/bucket/file", "disk")
            await storage.download("/bucket/file", root / "d", "disk")
            await storage.download_many([("/bucket/file", root / "e")], "disk")
            await session.move(f"{root}/a/file", f"{root}/f")
            demo = await session.get_compute_manager().get_unit("Demo")
            await demo.storage.upload(root / "e", "/g")
            for name in ("b/file", "d/file", "e", "f"):
                assert (root / name).read_bytes() == b"content", name
            assert await session.jobs() == []
            await refused(storage.download("/bucket/file", provider="disk"))
            await refused(demo.storage.download("/g"))
            await refused(session.copy(f"{root}/e", "relative"))
            await refused(session.sync("relative/", "disk:/bucket/x/"))
            await refused(session.copy("relative", "disk:/bucket/x"), NotFoundError, "no such file")

    root = Path(os.environ["ROOT"])
    asyncio.run(run(root))
    with Session(remotes={"disk": LocalSettings(root=root / "disk")}, progress=False) as session:
        try:
            session.get_storage_manager().download("/bucket/file", provider="disk")
        except ConfigurationError as error:
            assert "working directory" in str(error)
        else:
            raise AssertionError
    print("done")
"""


@pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="Python 3.13.0 itself cannot import compiled modules without a working directory: it raises SystemError",
)
def test_absolute_paths_work(tmp_path: Path) -> None:
    """Calls with absolute paths work; those that need the directory say so before they do anything."""
    ended = run_script(_SCRIPT, clean_environment(tmp_path / "home", ROOT=str(tmp_path)))
    assert (ended.stdout, ended.status) == ("done\n", 0), ended.stderr
