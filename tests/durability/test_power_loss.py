"""The power goes: a file system in a loop device is set back to what its disk had at that moment, and compared."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.server.running_hub import RunningUnit, UnitProcess
from tests.servers import SeaweedFS

pytestmark = pytest.mark.long

SIZES = [20_000] * 300 + [24 << 20]
DATA = {f"d{number % 7}/f{number}": os.urandom(size) for number, size in enumerate(SIZES)}


class Disk:
    """An ext4 file system whose disk is a file.

    Args:
        directory: for that file; it must not be on a disk that loses what it has.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "disk"
        self._image = directory / "image"
        with self._image.open("wb") as file:
            file.truncate(500 << 20)
        self._run("mkfs.ext4", "-q", "-F", str(self._image))
        self.path.mkdir()
        self._mount()
        self._run("sync", "-f", str(self.path))

    def lose_power(self) -> Path:
        """Copies what the disk has at this moment."""
        lost = self._image.with_name("lost")
        shutil.copyfile(self._image, lost)
        return lost

    def go_on_from(self, lost: Path) -> None:
        """Mounts such a copy in its place."""
        self.unmount()
        lost.replace(self._image)
        self._mount()

    @contextlib.contextmanager
    def after_a_loss(self) -> Iterator[Path]:
        """What the disk has at this moment, mounted elsewhere."""
        lost, elsewhere = self.lose_power(), self._image.with_name("elsewhere")
        elsewhere.mkdir()
        self._run("mount", "-o", "loop", str(lost), str(elsewhere))
        try:
            yield elsewhere
        finally:
            self._run("umount", str(elsewhere))

    def unmount(self) -> None:
        """Takes the file system away."""
        self._run("umount", str(self.path))

    def _mount(self) -> None:
        self._run("mount", "-o", "loop", str(self._image), str(self.path))

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk that can lose its power; where there are no loop devices the test is skipped."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
        pytest.skip("a loop device with ext4 takes root, mkfs.ext4 and /dev/loop-control")
    with tempfile.TemporaryDirectory(dir="/dev/shm", ignore_cleanup_errors=True) as directory:
        try:
            made = Disk(Path(directory))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no loop device: {error.stderr!r}")
        yield made
        with contextlib.suppress(subprocess.CalledProcessError):
            made.unmount()


@pytest.fixture
def environment(weed: SeaweedFS, tmp_path: Path) -> dict[str, str]:
    """Of the program: it reaches the server."""
    return {
        **os.environ,
        "DXFLOW_HOME": str(tmp_path / "home"),
        "DXFLOW_AWS_ENDPOINT": weed.endpoint,
        "DXFLOW_AWS_ACCESS_KEY": weed.access_key,
        "DXFLOW_AWS_SECRET_KEY": weed.secret_key,
    }


@pytest.fixture
def source(weed: SeaweedFS, prefix: str) -> str:
    """Objects in the bucket."""
    bucket, _, start = prefix.partition("/")
    for name, content in DATA.items():
        weed.client.put_object(Bucket=bucket, Key=f"{start}{name}", Body=content)
    return f"aws:/{prefix}"


def program(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "dxflow_async.cli", *arguments], env=environment)


def wrong(directory: Path) -> list[str]:
    """The files that are missing, or are not what they should be."""
    paths = {name: directory / name for name in DATA}
    return [name for name, path in paths.items() if not path.is_file() or path.read_bytes() != DATA[name]]


@pytest.mark.parametrize("verb", ["cp", "mv", "sync"])
@pytest.mark.parametrize("local", [False, True], ids=["down", "local"])
def test_what_is_reported_as_done(
    disk: Disk, environment: dict[str, str], source: str, tmp_path: Path, verb: str, *, local: bool
) -> None:
    """When the power goes as the program ends, all that it moved is on the disk."""
    if local:
        source = f"{tmp_path}/source/"
        for name, content in DATA.items():
            (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "source" / name).write_bytes(content)
    assert program(environment, verb, source, f"{disk.path}/new/out/").wait(120) == 0
    disk.go_on_from(disk.lose_power())
    assert wrong(disk.path / "new/out") == []


@pytest.mark.parametrize("same", [False, True], ids=["other disk", "same disk"])
@pytest.mark.parametrize("seconds", [1.5, 4.0])
def test_what_is_resumed(
    disk: Disk, environment: dict[str, str], source: str, tmp_path: Path, seconds: float, *, same: bool
) -> None:
    """When the power goes in the middle, a resumed download says done when all files are there."""
    home = disk.path / "home" if same else tmp_path / "home"
    environment = {**environment, "DXFLOW_HOME": str(home)}
    arguments = ("cp", "--quiet", source, f"{disk.path}/out/")
    running = program({**environment, "DXFLOW_MAX_BANDWIDTH": "5000000"}, *arguments)
    time.sleep(seconds)
    running.send_signal(signal.SIGSTOP)
    lost = disk.lose_power()
    running.kill()
    running.wait()
    disk.go_on_from(lost)
    jobs = sorted(path.stem for path in (home / "jobs").glob("*.sqlite3"))
    resumed = ("jobs", "resume", jobs[0]) if jobs else arguments
    assert program(environment, *resumed).wait(120) == 0
    assert wrong(disk.path / "out") == []


@pytest.fixture
async def unit(disk: Disk) -> AsyncIterator[RunningUnit]:
    """A unit on that disk."""
    server = UnitProcess(disk.path)
    process = await asyncio.to_thread(server.start)
    async with aiohttp.ClientSession() as http:
        yield RunningUnit(server.url, server.root, http)
    process.kill()


async def test_what_a_unit_has_taken(disk: Disk, unit: RunningUnit) -> None:
    """When the power goes, all that a unit has answered is on its disk: uploads, copies, renames and directories."""
    for name, content in DATA.items():
        assert (await unit.put(f"new/{name}", content)).status == 201
    part = (await unit.create("part", 3 << 20)).headers["Location"]
    assert (await unit.patch(part, 0, bytes(2 << 20))).status == 204
    for call, path in (("transfer", "new/d1"), ("rename", "new/d2")):
        answer = await unit.request("PUT", f"/storage/{call}/?path=/{path}&destination=/{call}/d")
        assert answer.status == 200
    assert (await unit.request("PUT", "/storage/directory/?path=/made/empty")).status == 200
    with disk.after_a_loss() as after:
        volume = after / "volume"
        (volume / "new/d2").mkdir()
        for moved in (volume / "rename/d").iterdir():
            moved.rename(volume / "new/d2" / moved.name)
        assert wrong(volume / "new") == []
        assert set(os.listdir(volume / "transfer/d")) == set(os.listdir(volume / "new/d1"))
        assert (volume / "made/empty").is_dir()
        data = next((volume / ".dx-uploads").glob("*.data"))
        assert data.stat().st_size >= 2 << 20
        assert (volume / ".dx-uploads" / f"{data.stem}.info").read_bytes().startswith(b"%020d " % (2 << 20))
