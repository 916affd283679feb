"""Which kinds of provider there are, and what becomes of packages that are broken."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers import registry
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.gcp.provider import GCPProvider
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.local.kind import LocalSettings
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.providers.registry import ProviderResources, create_provider, kind_of_scheme, kind_of_settings
from dxflow_async.providers.registry import provider_kinds as kinds
from dxflow_async.providers.unit.kind import UnitSettings
from dxflow_async.providers.unit.provider import UnitProvider

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
UNIT = UnitSettings(unit="Demo", url="http://127.0.0.1:1", secret="secret")

PACKAGE = """
from dataclasses import dataclass

from dxflow_async.providers.registry import ProviderKind

@dataclass(frozen=True, kw_only=True)
class Settings:
    color: str = "red"

@dataclass(frozen=True)
class Needy:
    color: str

def make(settings, resources):
    raise RuntimeError(settings.color)

KIND = ProviderKind(kind="acme", settings=Settings, factory=make, schemes=("acme",))
NEWER = ProviderKind(kind="acme", settings=Settings, factory=make, contract_version=2)
OLDER = ProviderKind(kind="acme", settings=Settings, factory=make, contract_version=0)
NAMELESS = ProviderKind(kind="other", settings=Settings, factory=make)
UNSET = ProviderKind(kind="acme", settings=Needy, factory=make)
UNTYPED = ProviderKind(kind="acme", settings=dict, factory=make)
SCHEME = ProviderKind(kind="acme", settings=Settings, factory=make, schemes=("ac me",))
NOTHING = None
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package that registers `name = module:attribute` into a directory of the path."""

    def install(value: str, name: str = "acme", package: str = "acme-storage") -> None:
        site = tmp_path / package
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = {value}\n")
        (site / "acme_storage.py").write_text(PACKAGE)
        monkeypatch.syspath_prepend(site)

    sys.modules.pop("acme_storage", None)
    registry._kinds.cache_clear()
    registry._told.clear()
    yield install
    sys.modules.pop("acme_storage", None)
    registry._kinds.cache_clear()


@pytest.mark.parametrize(
    ("kind", "settings", "made"),
    [
        ("s3", AWSSettings(), AWSProvider),
        ("azure", AzureSettings(account="account1"), AzureProvider),
        ("gcs", GCPSettings(), GCPProvider),
        ("local", LocalSettings(root=Path("/tmp/x")), LocalProvider),
        ("unit", UNIT, UnitProvider),
    ],
)
def test_kind_is_found_by_name_and_by_settings(
    http: HTTP, threads: Threads, kind: str, settings: object, made: type[Provider]
) -> None:
    """Each kind of ours makes its provider, which is called as the remote is where its errors name it."""
    assert kind_of_settings(settings) is kinds()[kind]
    provider = create_provider(kind, settings, ProviderResources("MINIO", http, threads))
    assert isinstance(provider, made)
    assert kind in ("local", "unit") or provider.name == "MINIO"


def test_ours_are_registered_as_others_are() -> None:
    """`pyproject.toml` has the very entry points that are used where there is no metadata."""
    listed = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["entry-points"][registry.GROUP]
    assert listed == registry._OURS
    assert list(listed) == sorted(listed)


def test_schemes() -> None:
    """URLs of the clouds are known by their scheme; a scheme that nobody has is none."""
    found = {scheme: kind_of_scheme(scheme) for scheme in ("s3", "az", "gs", "gopher")}
    assert {scheme: kind and kind.kind for scheme, kind in found.items()} == {
        "s3": "s3",
        "az": "azure",
        "gs": "gcs",
        "gopher": None,
    }


def test_kind_of_another_package(install: Install) -> None:
    """A package's kind is listed, found by name, settings and scheme, and imported when it is used, not before."""
    install("acme_storage:KIND")
    assert "acme" in kinds()
    assert set(kinds()) == {*registry._OURS, "acme"}
    assert len(kinds()) == len(registry._OURS) + 1
    assert "acme_storage" not in sys.modules
    kind = kinds()["acme"]
    assert kind_of_scheme("acme") is kind
    assert kind_of_settings(kind.settings()) is kind


def test_unknown_kind_names_the_known_ones(http: HTTP, threads: Threads) -> None:
    """A kind that is not there is an error that lists those that are."""
    known = "azure, engine, gcs, https, local, s3, sftp"
    with pytest.raises(ConfigurationError, match=rf"type = 'b2' is not allowed.*{known}$"):
        create_provider("b2", None, ProviderResources("B2", http, threads))
    assert "b2" not in kinds()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("acme_storage:NEWER", "implements version 2 of the provider contract.* version 1; upgrade dxflow-async"),
        ("acme_storage:OLDER", "implements version 0 of the provider contract.* version 1; upgrade it"),
        ("acme_storage:MISSING", r"acme_storage:MISSING cannot be imported \(AttributeError"),
        ("acme_missing:KIND", r"acme_missing:KIND cannot be imported \(ModuleNotFoundError"),
        ("acme_storage:NOTHING", "no ProviderKind, but NoneType"),
        ("acme_storage:NAMELESS", "has the kind 'other'"),
        ("acme_storage:UNSET", "no default for color"),
        ("acme_storage:UNTYPED", "its settings are no dataclass"),
        ("acme_storage:SCHEME", "URL schemes that are not valid: ac me"),
    ],
)
def test_broken_package_stops_only_its_users(
    install: Install, http: HTTP, threads: Threads, caplog: pytest.LogCaptureFixture, value: str, reason: str
) -> None:
    """A package that cannot be used is named when its kind is used; all other kinds go on working."""
    install(value)
    assert "acme" in kinds()
    with caplog.at_level(logging.WARNING):
        assert kind_of_scheme("gopher") is None
        assert kind_of_scheme("gopher") is None
    assert caplog.text.count("acme-storage") == 1
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=f"the type acme .*the package acme-storage .*{reason}"):
            create_provider("acme", None, ProviderResources("ACME", http, threads))
    assert isinstance(create_provider("s3", AWSSettings(), ProviderResources("AWS", http, threads)), AWSProvider)


def test_broken_package_is_logged_once(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """Threads that look for a scheme at a time, and later ones, name a broken package once in a process."""
    install("acme_missing:KIND")
    start = threading.Barrier(4)

    def look(_: int) -> None:
        start.wait(10)
        assert kind_of_scheme("gopher") is None

    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(4) as pool:
        list(pool.map(look, range(4)))
        registry._kinds.cache_clear()
        assert kind_of_scheme("gopher") is None
    assert caplog.text.count("acme-storage") == 1


def test_factory_that_fails_is_named_without_its_settings(install: Install, http: HTTP, threads: Threads) -> None:
    """A bug in a package's factory names the package, not the words of the error, which may hold a secret."""
    install("acme_storage:KIND")
    settings = kinds()["acme"].settings(color="hunter2")
    with pytest.raises(
        ConfigurationError, match=r"PAINT cannot be used: the package acme-storage .*RuntimeErr"
    ) as error:
        create_provider("acme", settings, ProviderResources("PAINT", http, threads))
    assert "hunter2" not in str(error.value)


def test_settings_of_another_kind_are_refused(http: HTTP, threads: Threads) -> None:
    """A kind takes its own settings only."""
    with pytest.raises(ConfigurationError, match="the type s3 needs S3Settings, not LocalSettings"):
        create_provider("s3", LocalSettings(), ProviderResources("AWS", http, threads))
    with pytest.raises(ConfigurationError, match="settings of no provider"):
        kind_of_settings(object())


def test_two_packages_of_one_kind(install: Install) -> None:
    """A kind that two packages register is an error that names both: neither is picked by chance."""
    install("acme_storage:KIND")
    install("acme_storage:KIND", package="zenith")
    with pytest.raises(ConfigurationError, match="the package acme-storage and the package zenith; uninstall"):
        kinds()["acme"]


def test_nobody_replaces_a_kind_of_ours(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """A package that registers `s3` is told of in the log, and not used."""
    install("acme_storage:KIND", name="s3")
    assert kinds()["s3"].settings is AWSSettings
    assert set(kinds()) == set(registry._OURS)
    assert "the package acme-storage registers the type s3, which is built in" in caplog.text


def test_ours_are_there_without_metadata() -> None:
    """A source tree that was never installed has our kinds, and using one scans no packages and loads no other."""
    root = PYPROJECT.parent
    code = (
        "import sys, importlib.metadata as metadata; metadata.entry_points = None; "
        "from dxflow_async.providers.registry import provider_kinds; "
        "assert provider_kinds()['s3'].kind == 's3'; "
        "print(sorted(name for name in sys.modules if name.startswith('dxflow_async.providers.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root)},
    )
    assert "dxflow_async.providers.aws.kind" in done.stdout
    loaded = set(ast.literal_eval(done.stdout))
    folders = {name.split(".")[2] for name in loaded if name.split(".")[2] in {"azure", "gcp", "local", "sftp", "unit"}}
    assert not folders
    assert "dxflow_async.providers.aws.provider" not in loaded


def test_local_root_is_absolute() -> None:
    """A local remote's root is absolute, `~` being the user's home; another one is refused."""
    assert LocalSettings(root=Path("~/x")).root == Path.home() / "x"
    with pytest.raises(ConfigurationError, match="root = 'x' is not allowed; it must be an absolute path"):
        LocalSettings(root=Path("x"))
