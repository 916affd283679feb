"""The house's own rules: which way imports go, what importing costs, what the public door shows."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

import dxflow_async
from dxflow_async import AsyncSession, Settings, providers
from tests.call_path import CallPath

ROOT = Path(dxflow_async.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
TEST_ROOT = Path(__file__).parent
TESTS = sorted(TEST_ROOT.rglob("*.py"))

FOUNDATION = {
    "exceptions",
    "models",
    "compressed_sequence",
    "result_tables",
    "timeline",
    "reports",
    "pages",
    "paths",
    "foreign_locations",
    "location_path",
    "glob_patterns",
    "checksum",
    "digests",
    "presumed_digests",
    "streams",
    "durability",
    "file_systems",
    "modes",
    "plurals",
    "security",
    "concurrency",
    "config",
    "control",
    "net",
}
LAYERS = [
    FOUNDATION,
    {"providers"},
    {"transfer"},
    {"account_connection"},
    {"storage"},
    {"compute"},
    {"location_files"},
    {"location_calls", "progress_text"},
    {"handles"},
    {"starting"},
    {"session"},
    {"hub_page"},
    {"blocking", "cli", "dxflow", "testing", "__main__"},
    {"doors"},
]
ROOMS = {
    "net": {"streams", "concurrency", "security", "exceptions"},
    "security": {"exceptions"},
    "concurrency": {"durability", "exceptions"},
    "config": {"security", "exceptions"},
    "server": FOUNDATION - {"net", "control"},
    "testing": {"providers", "concurrency", "checksum", "exceptions"},
    "providers": {
        "net",
        "streams",
        "concurrency",
        "security",
        "checksum",
        "digests",
        "presumed_digests",
        "durability",
        "file_systems",
        "modes",
        "plurals",
    }
    | {"exceptions", "models", "config"},
}
"""What else a room may import, where it is less than all that lies below it."""
STARTS_SERVERS = {"account_connection", "cli", "hub_page"}
"""The embedded hub; `hub serve` and `unit serve`; the page, which is part of a hub and a client of it."""
PROVIDER_FOLDERS = {path.parent.name for path in (ROOT / "providers").glob("*/__init__.py")} - {"common"}
PROVIDER_CLASSES = {
    node.name
    for path in (ROOT / "providers").glob("*/*.py")
    for node in ast.parse(path.read_text("utf-8")).body
    if isinstance(node, ast.ClassDef) and "Provider" in {ast.unparse(base) for base in node.bases}
}
SDKS = ("aioboto3", "aiobotocore", "boto3", "botocore", "azure", "gcloud", "google", "asyncssh")


def level(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if module in names)


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"))


@cache
def imported_by(path: Path) -> frozenset[str]:
    """The modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
            names |= {f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
    return frozenset(names)


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def every_file(paths: Iterable[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Makes one test of a check of every file; it fails with the names of all files that break the rule."""

    def decorate(check: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            broken: dict[str, str] = {}
            for path in paths:
                try:
                    check(path)
                except AssertionError as error:
                    broken[str(path.relative_to(ROOT.parent))] = str(error)
            assert not broken

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


@every_file(SOURCES)
def test_layers_import_downward_only(path: Path) -> None:
    """A layer imports what lies below it; only the account's connection and the command line start servers."""
    part = part_of(path)
    if part == "__init__":
        return
    used = {name.split(".")[1] for name in imported_by(path) if name.startswith("dxflow_async.")} - {part}
    if part in ROOMS:
        assert used <= ROOMS[part]
        return
    allowed = set().union(*LAYERS[: level(part) + 1])
    assert used <= allowed | ({"server"} if part in STARTS_SERVERS else set())


@every_file(sorted((ROOT / "providers").rglob("*.py")))
def test_providers_do_not_know_each_other(path: Path) -> None:
    """A provider's folder imports the door, the contract, the call context and what providers share, no other's."""
    folder = path.relative_to(ROOT).parts[1]
    if folder not in PROVIDER_FOLDERS:
        return
    used = {name.split(".")[2] for name in imported_by(path) if name.startswith("dxflow_async.providers.")}
    assert used <= {folder, "common", "contract", "http", "registry", *providers.__all__}


@every_file(sorted((ROOT / "providers").rglob("*.py")))
def test_providers_do_not_reach_into_other_files(path: Path) -> None:
    """No file touches an attribute with an underscore that another of our files defines; some are those of SDKs."""
    tree = tree_of(path)
    touched = {node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr)}
    of_self = {node for node in touched if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")}
    own = {node.attr for node in of_self} | {name for name in _defined_in(tree) if name.startswith("_")}
    foreign = {"_replace", "_iam_endpoint_override", "_ruleset_resolver", "_session", "_timeout"}
    assert not {ast.unparse(node) for node in touched - of_self if node.attr not in own | foreign}


def _defined_in(tree: ast.Module) -> set[str]:
    """The names of the functions, and of the annotated attributes, of a file."""
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    declared = {node.target for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)}
    return functions | {target.id for target in declared if isinstance(target, ast.Name)}


@pytest.mark.parametrize("folder", ["http_source", "sftp"])
def test_providers_that_need_only_the_door(folder: str) -> None:
    """The latest providers import nothing of ours that `dxflow_async.providers` does not offer to everybody."""
    offered = {providers._OTHER_NAMES.get(name, name) for names in providers._HOMES.values() for name in names}
    for path in (ROOT / "providers" / folder).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and _is_ours(node.module, folder):
                assert {each.name for each in node.names} <= offered, path


def _is_ours(module: str | None, folder: str) -> bool:
    """Whether a module is ours, and not one of a provider's own."""
    name = module or ""
    return name.startswith("dxflow_async") and not name.startswith(f"dxflow_async.providers.{folder}")


@every_file(SOURCES)
def test_nothing_above_names_a_provider(path: Path) -> None:
    """Outside `providers` no file imports a provider's folder or names a provider's class.

    The script that tells what a user's engine does is about one provider only.
    """
    if part_of(path) == "providers" or path.match("testing/engine*.py"):
        return
    used = {name.split(".")[2] for name in imported_by(path) if name.startswith("dxflow_async.providers.")}
    assert not used & PROVIDER_FOLDERS
    tree = ast.parse(path.read_text("utf-8"))
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not named & PROVIDER_CLASSES


@every_file(SOURCES)
def test_nobody_knows_the_lane(path: Path) -> None:
    """Nothing outside `net` names a lane: what is wanted of the data plane comes through its door."""
    if part_of(path) == "net":
        return
    lanes = ("dxflow_async.net.fast", "dxflow_async.net.aiohttp_lane")
    assert not {name for name in imported_by(path) if name.startswith(lanes)}


def test_lanes_do_not_know_each_other() -> None:
    """Neither lane imports the other, nor does importing the door load one."""
    for lane, other in (("fast", "aiohttp_lane"), ("aiohttp_lane", "fast")):
        for path in (ROOT / "net" / lane).glob("*.py"):
            assert not {name for name in imported_by(path) if name.startswith(f"dxflow_async.net.{other}")}
    code = "import sys, dxflow_async.net; print([name for name in sys.modules if name in {'aiohttp', 'httptools'}])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "[]"


@every_file(SOURCES)
def test_sdks_stay_in_their_provider(path: Path) -> None:
    """An SDK's name appears in its provider's files only, and is not imported with them."""
    found = {name for name in imported_by(path) if name.split(".")[0] in SDKS}
    if found:
        assert path.relative_to(ROOT).parts[:2] in {("providers", name) for name in ("aws", "azure", "gcp", "sftp")}
    tree = tree_of(path)
    top = {each.name for node in tree.body if isinstance(node, ast.Import) for each in node.names}
    top |= {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not {name for name in top if name.split(".")[0] in SDKS}


@every_file(SOURCES)
def test_nothing_turns_verification_off(path: Path) -> None:
    """No file has what would let a TLS connection go unverified: no setting, argument or variable leads to it."""
    tree = tree_of(path)
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & {"CERT_NONE", "CERT_OPTIONAL", "check_hostname", "verify_mode", "_create_unverified_context"}
    told = [word for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords]
    off = {word.arg for word in told if isinstance(word.value, ast.Constant) and word.value.value is False}
    assert not off & {"ssl", "verify", "verify_ssl", "ssl_verify", "connection_verify", "check_hostname"}


@every_file(SOURCES)
def test_files_stay_small(path: Path) -> None:
    """No file is above 500 lines."""
    assert len(path.read_text("utf-8").splitlines()) <= 500


@pytest.mark.parametrize("folder", ["local", "http_source"])
def test_the_worked_examples_are_short(folder: str) -> None:
    """The providers that newcomers follow, of a disk and of HTTP, have at most 200 lines each."""
    assert len((ROOT / f"providers/{folder}/provider.py").read_text("utf-8").splitlines()) <= 200


@every_file(TESTS)
def test_tests_share_helpers_only(path: Path) -> None:
    """No file below `tests` imports from a test file or from a conftest: what tests share is in a helper module."""
    modules = {name for name in imported_by(path) if name.startswith("tests.")}
    assert not {name for name in modules if re.search(r"\.(test_\w+|conftest)(\.|$)", name)}


def test_public_names_are_what_is_there() -> None:
    """Every name of the sorted `__all__` can be had, and `dir` shows no other."""
    assert list(dxflow_async.__all__) == sorted(dxflow_async.__all__)
    assert dir(dxflow_async) == sorted(dxflow_async.__all__)
    assert dxflow_async.AWSSettings is dxflow_async.S3Settings
    assert dxflow_async.GCPSettings is dxflow_async.GCSSettings
    named = {"AWSSettings": "S3Settings", "GCPSettings": "GCSSettings"}  # the older names of the same classes
    assert all(getattr(dxflow_async, name).__name__ == named.get(name, name) for name in dxflow_async.__all__)


def test_unknown_names_are_attribute_errors() -> None:
    """The lazy door refuses what is not public."""
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        _ = dxflow_async.Sesion


def test_the_door_of_providers_is_documented() -> None:
    """The page for authors of providers names every public name, as code."""
    page = (ROOT / "docs/providers.md").read_text()
    code = set(re.findall(r"\w+", " ".join(re.findall(r"```.*?```|`[^`\n]+`", page, re.DOTALL))))
    assert set(providers.__all__) - code == set()


def test_the_door_of_providers_is_what_is_there() -> None:
    """`dxflow_async.providers` has each name of its sorted `__all__`, and `dir` shows no other."""
    assert list(providers.__all__) == sorted(providers.__all__, key=lambda name: (_kind_of_name(name), name))
    assert dir(providers) == sorted(providers.__all__)
    homes = {name: module for module, names in providers._HOMES.items() for name in names}
    assert sorted(homes) == sorted(providers.__all__)
    for name, module in homes.items():
        inner = providers._OTHER_NAMES.get(name, name)
        assert getattr(providers, name) is getattr(importlib.import_module(module), inner)
    with pytest.raises(AttributeError, match="no attribute 'Provder'"):
        _ = providers.Provder


def _kind_of_name(name: str) -> int:
    """Constants, then classes, then functions."""
    return 0 if name.isupper() else 1 if name[0].isupper() else 2


def test_the_door_of_providers_is_lazy() -> None:
    """Importing the door, or the registry, loads no provider, no HTTP client and no SDK."""
    code = (
        "import sys, dxflow_async.providers, dxflow_async.providers.registry; "
        "print([name for name in sys.modules if name.split('.')[0] in ('aiohttp', 'anyio', 'botocore') "
        "or name.startswith('dxflow_async.providers.') and name != 'dxflow_async.providers.registry'])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"


MODULES = [each.name for each in pkgutil.walk_packages(dxflow_async.__path__, "dxflow_async.")]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_each_module_says_what_it_is_for(name: str) -> None:
    """Every module can be imported, once the package that it adapts is there, and has a docstring."""
    if name in ("dxflow_async.doors.fsspec", "dxflow_async.doors.zarr"):
        pytest.importorskip(name.rpartition(".")[2])
    assert importlib.import_module(name).__doc__


def seconds_to_import(module: str) -> float:
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(3)]
    return min(float(run.stdout) for run in runs)


def test_importing_is_cheap() -> None:
    """`import dxflow_async` takes under a third of `import aiohttp`, which takes some 300 ms on a slow machine."""
    assert seconds_to_import("dxflow_async") < seconds_to_import("aiohttp") / 3


def test_importing_loads_no_sdk() -> None:
    """Neither the package nor its session and facade load a cloud's SDK."""
    code = (
        "import sys, dxflow_async.providers.aws.provider; from dxflow_async import AsyncSession, Session; "
        f"print([name for name in sys.modules if name.split('.')[0] in {SDKS}])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "[]"


WRITTEN = {"local": "{directory}/", "aws": "aws:/bucket/{mark}/", "unit": "unit:/Demo/{mark}/"}


@pytest.mark.parametrize("source", WRITTEN)
@pytest.mark.parametrize("call", ["AsyncLocationCalls.copy", "AsyncLocationCalls.move", "AsyncLocationCalls.sync"])
async def test_a_call_goes_down_to_the_engine(tmp_path: Path, call: str, source: str) -> None:
    """A copy's source passes at most eight modules on its way to the engine; no call comes back from below."""
    mark = "followed-source"
    path, directory = CallPath(call, mark), tmp_path / mark
    directory.mkdir()
    (directory / "x").write_bytes(b"x")
    src = WRITTEN[source].format(directory=directory, mark=mark)
    async with AsyncSession("you@example.com", "password", settings=Settings(home=tmp_path / "home")) as session:
        if source != "local":
            await session.copy(f"{directory}/", src)
        with path.watched():
            await getattr(session, call.partition(".")[2])(src, "gcp:/bucket/there/")
    assert (path.modules[0], path.modules[-1]) == ("location_calls", "transfer.engine")
    # A move and a sync look at the source before the engine runs, through all that looking needs.
    stacks = path.stacks if call == "AsyncLocationCalls.copy" else {path.engine_stack}
    if call == "AsyncLocationCalls.copy":
        assert len(path.modules) <= 8, path.modules
    for stack in stacks:
        assert len(set(stack)) == len(stack) <= 5, stack
        levels = [level(module.partition(".")[0]) for module in stack]
        assert levels == sorted(levels, reverse=True), stack


def test_the_session_is_composed() -> None:
    """The session's module is under 300 lines: what it does stands in the parts it is made of."""
    assert len((ROOT / "session.py").read_text("utf-8").splitlines()) < 300


@every_file(sorted((ROOT / "cli").glob("*.py")))
def test_commands_use_public_calls_only(path: Path) -> None:
    """No command touches an attribute of another object that begins with an underscore."""
    tree = ast.parse(path.read_text("utf-8"))
    private = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("_")]
    own = {ast.unparse(node) for node in private if not isinstance(node.value, ast.Name) or node.value.id != "self"}
    assert not {name for name in own if not name.endswith("__")}


@every_file(sorted((ROOT / "transfer").rglob("*.py")))
def test_transfers_use_the_one_pool(path: Path) -> None:
    """No module of a transfer has a task group, limiter or gather of its own: their exceptions would come in groups."""
    tree = ast.parse(path.read_text("utf-8"))
    used = {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in ast.walk(tree)}
    if path.name == "dask.py":  # a client's own `gather`, of one future
        used.discard("gather")
    assert not used & {"create_task_group", "gather", "CapacityLimiter", "Semaphore"}
    assert not {name for name in imported_by(path) if name == "asyncio.TaskGroup"}
