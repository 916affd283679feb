"""A provider in a package of its own, which is the one that docs/providers.md shows: installed, tested and used."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from dxflow_async import providers, testing
from tests.docs.code_blocks import code_blocks
from tests.python_processes import clean_environment, run_script
from tests.servers import SeaweedFS

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "dxflow_async/docs/providers.md"
MiB = 1 << 20

BROKEN = """
import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import dxflow_memory
import pytest_asyncio
from dxflow_async.providers import AccessDeniedError, AlreadyExistsError, Call, NotFoundError, Page, Threads
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.testing import ProviderContract, ProviderUnderTest, session_resources
from dxflow_memory import MemoryProvider, MemorySettings, MemoryUpload

async def unchecked(call, body):
    return b"".join([bytes(chunk) async for chunk in body])


class Unordered(MemoryProvider):
    async def list_page(self, prefix, *, recursive, cursor=None):
        page = await super().list_page(prefix, recursive=recursive, cursor=cursor)
        return Page(list(reversed(page.entries)), page.cursor)

class OnePage(MemoryProvider):
    async def list_page(self, prefix, *, recursive, cursor=None):
        page = await super().list_page(prefix, recursive=recursive, cursor=cursor)
        return Page(page.entries, None)

class AnyVersion(MemoryProvider):
    async def read(self, key, start=0, end=None, *, etag=None, listed=None):
        return await super().read(key, start, end)

class OffByOne(MemoryProvider):
    async def read(self, key, start=0, end=None, *, etag=None, listed=None):
        return await super().read(key, start, end and end + 1, etag=etag)

class SilentMiss(MemoryProvider):
    async def stat(self, key):
        found = self.store.objects.get(key)
        return found[1] if found else dxflow_memory.Entry(key)

class Unchecked(MemoryProvider):
    async def write(self, key, body, options):
        data = await unchecked(None, body)
        return self.put(None, key, data, options)

class Forgetful(MemoryProvider):
    async def write(self, key, body, options):
        return await super().write(key, body, replace(options, metadata={}))

class KeepsUploads(MemoryProvider):
    async def start_upload(self, key, size, options):
        upload = await super().start_upload(key, size, options)
        upload.abort = lambda: sleep()
        return upload

class Boasting(MemoryProvider):
    def __init__(self, settings, name):
        super().__init__(settings, name)
        self.features = replace(self.features, rename=True)

class Modest(MemoryProvider):
    def __init__(self, settings, name):
        super().__init__(settings, name)
        self.features = replace(self.features, copy=False)

class LoudDelete(MemoryProvider):
    async def delete(self, keys):
        return {key: KeyError(key) for key in keys if self.store.objects.pop(key, None) is None}

class Timeless(MemoryProvider):
    async def copy(self, source, key, options):
        return await super().copy(source, key, replace(options, modified=None))

class Indiscreet(MemoryProvider):
    async def connect(self):
        try:
            await super().connect()
        except AccessDeniedError as error:
            raise AccessDeniedError(f"{error}: {self.settings.password}") from None

class LateLeftover(MemoryProvider):
    async def write(self, key, body, options):
        try:
            return await super().write(key, body, options)
        except BaseException:
            asyncio.get_running_loop().call_later(0.1, self.store.uploads.setdefault, "late", None)
            raise

async def sleep():
    pass

# With real directories.

class WipesDirectory(LocalProvider):
    async def write(self, key, body, options):
        await super().delete([key + "/"])
        return await super().write(key, body, options)

class DeletesDirectory(LocalProvider):
    async def delete(self, keys):
        return await super().delete([*keys, *(f"{key}/" for key in keys)])

class SilentDirectory(LocalProvider):
    async def make_directory(self, key, mode=None):
        with suppress(AlreadyExistsError):
            await super().make_directory(key, mode)

class HiddenDirectory(LocalProvider):
    async def stat(self, key):
        entry = await super().stat(key)
        if entry.directory and not key.endswith("/"):
            raise Call(self.name, "stat", f"/{key}").error(NotFoundError, "there is no such file")
        return entry

class LooseSlash(LocalProvider):
    async def stat(self, key):
        return await super().stat(key.removesuffix("/"))

class ReadsDirectory(LocalProvider):
    async def read(self, key, start=0, end=None, *, etag=None, listed=None):
        if (await self.stat(key)).directory:
            return dxflow_memory.MemoryReader(b"", dxflow_memory.Entry(key), 0, None)
        return await super().read(key, start, end, etag=etag, listed=listed)
"""
"""Providers that each break one rule of the contract."""

RULES = {
    "Unordered": "test_listing_is_in_the_order_of_bytes",
    "OnePage": "test_listing_of_many_pages",
    "AnyVersion": "test_etag_pins_the_version",
    "OffByOne": "test_range",
    "SilentMiss": "test_missing",
    "Unchecked": "test_wrong_checksum_is_refused",
    "Forgetful": "test_metadata",
    "KeepsUploads": "test_aborted_upload_leaves_nothing",
    "Boasting": "test_rename",
    "Modest": "test_copy",
    "LoudDelete": "test_delete",
    "Timeless": "test_copy_keeps_a_time",
    "Indiscreet": "test_wrong_credentials",
    "LateLeftover": "test_body_of_another_size_leaves_the_old_object",
    "WipesDirectory": "test_write_to_the_name_of_a_directory",
    "DeletesDirectory": "test_delete_without_a_slash_keeps_a_directory",
    "SilentDirectory": "test_directory_in_the_place_of_an_object",
    "HiddenDirectory": "test_directory_is_looked_up_without_its_slash",
    "LooseSlash": "test_object_is_not_found_as_a_directory",
    "ReadsDirectory": "test_directory_is_not_read",
}
"""The tests that they fail."""

EACH = """

class Test{name}(ProviderContract):
    @pytest_asyncio.fixture
    async def subject(self, tmp_path):
        if issubclass({name}, LocalProvider):
            threads = Threads(2)
            yield ProviderUnderTest({name}(tmp_path, threads), "area/")
            threads.close()
            return
        settings = MemorySettings(store=uuid4().hex, password="right")
        provider = {name}(settings, "MEMORY")
        await provider.connect()
        yield ProviderUnderTest(
            provider,
            "area/",
            lambda: list(provider.store.uploads),
            with_secret=lambda secret: {name}(replace(settings, password=secret), "MEMORY"),
        )
"""


@dataclass(frozen=True)
class Package:
    """The package of the document, installed into a directory.

    Attributes:
        site: the directory.
        project: its `pyproject.toml`.
        tests: its tests.
        config: its section of the configuration.
        variables: its environment variables.
        use: its example of use.
    """

    site: Path
    project: str
    tests: str
    config: str
    variables: dict[str, str]
    use: str

    def environment(self, home: Path, **variables: str) -> dict[str, str]:
        """A process's environment in which the package is installed."""
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(self.config)
        return clean_environment(home, PYTHONPATH=f"{self.site}{os.pathsep}{ROOT}", **self.variables, **variables)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Builds the package from the document's blocks, and installs it."""
    top = tmp_path_factory.mktemp("package")
    module, _, _, tests, use = code_blocks(DOCUMENT, "python")
    project, config = code_blocks(DOCUMENT, "toml")
    (variables,) = code_blocks(DOCUMENT, "sh")
    (top / "tree").mkdir()
    (top / "tree/dxflow_memory.py").write_text(module)
    (top / "tree/pyproject.toml").write_text(project)
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(top / "site")]
    done = subprocess.run([*command, str(top / "tree")], capture_output=True, check=False, timeout=100)
    if done.returncode:  # no index to get the build backend from
        install_by_hand(top / "site", module, project)
    exported = dict(re.findall(r"^export (\w+)=(.*)$", variables, re.MULTILINE))
    assert len(exported) == len(variables.splitlines())
    return Package(top / "site", project, tests, config, exported, use)


def install_by_hand(site: Path, module: str, project: str) -> None:
    """Does what an installer would do with a wheel of one module."""
    table = tomllib.loads(project)["project"]
    info = site / f"{table['name'].replace('-', '_')}-{table['version']}.dist-info"
    info.mkdir(parents=True)
    (site / "dxflow_memory.py").write_text(module)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {table['name']}\nVersion: {table['version']}\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in kinds.items())])
        for group, kinds in table["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))


def run_tests(package: Package, directory: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs a test file of the package's author, as the author would."""
    (directory / "test_memory.py").write_text(code)
    (directory / "pyproject.toml").write_text(package.project)
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", *options]
    environment = package.environment(directory / "home")
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=200
    )


def test_the_package_knows_only_the_public_door() -> None:
    """The example imports `dxflow_async.providers` and `dxflow_async.testing`, and only what these list."""
    for block in code_blocks(DOCUMENT, "python")[:4]:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dxflow_async"):
                door = {"dxflow_async.providers": providers, "dxflow_async.testing": testing}[node.module or ""]
                assert {each.name for each in node.names} <= set(door.__all__)


def test_the_package_passes_the_suite(package: Package, tmp_path: Path) -> None:
    """Its tests run as its author runs them, without our configuration of pytest, and all pass."""
    done = run_tests(package, tmp_path, package.tests, "-q", "test_memory.py")
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) passed", done.stdout)
    assert found is not None
    assert int(found[1]) > 70


def test_the_suite_finds_broken_providers(package: Package, tmp_path: Path) -> None:
    """Each provider that breaks a rule of the contract fails the test of that rule."""
    assert set(re.findall(r"^class (\w+)\((?:Memory|Local)Provider\)", BROKEN, re.MULTILINE)) == RULES.keys()
    code = BROKEN + "".join(EACH.format(name=name) for name in RULES)
    tests = [f"test_memory.py::Test{name}::{test}" for name, test in RULES.items()]
    done = run_tests(package, tmp_path, code, "-q", "--tb=no", "-W", "default", *tests)
    failed = set(re.findall(r"^FAILED .*::Test(\w+)::", done.stdout, re.MULTILINE))
    assert failed == RULES.keys(), done.stdout[-5000:] + done.stderr


def test_the_use_that_is_shown_works(package: Package, tmp_path: Path) -> None:
    """The document's last block copies into memory and back, with settings in code."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results/table.csv").write_text("column\n")
    environment = package.environment(tmp_path / "home")
    (tmp_path / "home/config.toml").unlink()
    for name in package.variables:
        del environment[name]
    outcome = run_script(package.use, environment, directory=tmp_path)
    assert (outcome.status, outcome.stdout) == (0, "True 1\n"), outcome.stderr
    assert (tmp_path / "copy-of-table.csv").read_text() == "column\n"


ROUND_TRIP = """
import asyncio, os
from dxflow_async import AsyncSession, ConfigurationError, NotFoundError

async def main():
    area = os.environ["AREA"]
    async with AsyncSession() as session:
        scratch = session.settings.remotes["scratch"]
        assert (scratch.store, scratch.password, scratch.max_size) == ("scratch", "correct-horse", 100_000_000)
        assert "correct-horse" not in repr(session.settings)
        report = await session.copy(f"s3://{area}/data/", "scratch:/data/")
        assert report.ok and len(report) == 3, report
        assert all(each.checksum for each in report), report
        plan = await session.sync(f"aws:/{area}/data/", "SCRATCH:/data/", dry_run=True)
        assert list(plan) == [], plan
        storage = session.get_storage_manager()
        names = {item.path: item.size for item in await storage.list("scratch", "/data/", recursive=True)}
        assert names == {"/data/dir/small": 5, "/data/empty": 0, "/data/large": 20 << 20}, names
        await session.copy("mem://data/large", f"aws:/{area}/back/large")
        await session.move("mem://data/dir/", f"aws:/{area}/back/dir/")
        await storage.upload("table.csv", "/up/", provider="scratch")
        await session.sync("scratch:/", f"aws:/{area}/synced/", delete=True)
        assert await storage.delete("/data/empty", provider="Scratch") == 1
        try:
            await session.copy("mem://data/empty", "here")
        except NotFoundError as error:
            print(error)
        try:
            await session.copy("mum://data/empty", "here")
        except ConfigurationError as error:
            print(error)

asyncio.run(main())
"""


WHOLE = """
import asyncio, os
from dataclasses import replace
import dxflow_memory
from dxflow_async import AsyncSession
from dxflow_memory import MemoryProvider, MemorySettings

written, started = [], []

class Whole(MemoryProvider):
    def __init__(self, settings, name):
        super().__init__(settings, name)
        self.features = replace(self.features, streams_whole=True, checksum=False)

    async def write(self, key, body, options):
        written.append((key, body.size))
        return await super().write(key, body, options)

    async def start_upload(self, key, size, options):
        started.append((key, size))
        return await super().start_upload(key, size, options)

dxflow_memory.MemoryProvider = Whole

async def main():
    async with AsyncSession(remotes={"fast": MemorySettings(store="s")}) as session:
        report = await session.copy("tree/", "fast:/tree/")
        assert report.ok and len(report) == 3, report
        assert all(each.checksum for each in report), report
        assert sorted(written) == [("tree/empty", 0), ("tree/large", 70 << 20), ("tree/small", 5)], written
        await session.copy("fast:/tree/large", "back")
        assert open("back", "rb").read() == open("tree/large", "rb").read()
        assert not started
        print("done")

asyncio.run(main())
"""


def test_objects_of_any_size_are_written_whole(package: Package, tmp_path: Path) -> None:
    """With `streams_whole`, the engine passes each object to `write`, whatever its size, and starts no upload."""
    (tmp_path / "tree").mkdir()
    for name, data in {"large": os.urandom(MiB) * 70, "small": b"small", "empty": b""}.items():
        (tmp_path / "tree" / name).write_bytes(data)
    environment = package.environment(tmp_path / "home")
    (tmp_path / "home/config.toml").unlink()
    for name in package.variables:
        del environment[name]
    outcome = run_script(WHOLE, environment, directory=tmp_path)
    assert (outcome.status, outcome.stdout) == (0, "done\n"), outcome.stderr


CONNECT = """
import asyncio
from dxflow_async import AccessDeniedError, AsyncSession
from dxflow_memory import STORES, MemorySettings

async def main():
    remotes = {"one": MemorySettings(store="s", password="right"), "two": MemorySettings(store="s", password="hunter2")}
    async with AsyncSession(remotes=remotes) as session:
        await session.copy("table.csv", "one:/table.csv")
        try:
            await session.copy("table.csv", "two:/table.csv")
        except AccessDeniedError as error:
            print(error)
        STORES["s"].password = "hunter2"
        await asyncio.gather(*(session.copy("table.csv", f"two:/{number}.csv") for number in range(3)))
        await session.copy("one:/2.csv", "copy.csv")

asyncio.run(main())
"""


def test_a_remote_is_connected_at_its_first_use(package: Package, tmp_path: Path) -> None:
    """`connect` is called before anything else, its error reaches the caller, and the next use tries it again."""
    (tmp_path / "table.csv").write_text("column\n")
    outcome = run_script(CONNECT, package.environment(tmp_path / "home"), directory=tmp_path)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout == "TWO connect of the store s failed: the password is wrong; check the setting password\n"
    assert "hunter2" not in outcome.stderr
    assert (tmp_path / "copy.csv").read_text() == "column\n"


@pytest.mark.server
def test_config_section_variables_scheme_and_copies_to_and_from_s3(
    package: Package, weed: SeaweedFS, bucket: str, prefix: str, tmp_path: Path
) -> None:
    """The package's remote comes from file and environment, its URLs are locations, and S3 gets the bytes back."""
    large, area = os.urandom(20 * MiB), prefix.partition("/")[2]
    for name, data in {"large": large, "dir/small": b"small", "empty": b""}.items():
        weed.client.put_object(Bucket=bucket, Key=f"{area}data/{name}", Body=data)
    (tmp_path / "table.csv").write_text("column\n")
    environment = package.environment(
        tmp_path / "home",
        AREA=prefix.rstrip("/"),
        DXFLOW_AWS_ENDPOINT=weed.endpoint,
        DXFLOW_AWS_ACCESS_KEY=weed.access_key,
        DXFLOW_AWS_SECRET_KEY=weed.secret_key,
    )
    outcome = run_script(ROUND_TRIP, environment, directory=tmp_path)
    assert outcome.status == 0, outcome.stderr
    missing, unknown = outcome.stdout.splitlines()
    assert "SCRATCH copy of" in missing
    assert "mem://" in unknown
    stored = {
        each["Key"].removeprefix(area): weed.client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
        for each in weed.client.list_objects_v2(Bucket=bucket, Prefix=area)["Contents"]
        if not each["Key"].startswith(f"{area}data/")
    }
    assert stored == {
        "back/large": large,
        "back/dir/small": b"small",
        "synced/data/empty": b"",
        "synced/data/large": large,
        "synced/up/table.csv": b"column\n",
    }


def test_the_shell_knows_the_remote(package: Package, tmp_path: Path) -> None:
    """`remotes list` shows the package's remote without its secret, and `remotes test` reaches it."""
    environment = package.environment(tmp_path / "home")
    for arguments in (["remotes", "list"], ["remotes", "test", "scratch"]):
        command = [sys.executable, "-m", "dxflow_async.cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "scratch" in done.stdout.lower()
        assert "correct-horse" not in done.stdout + done.stderr
