"""What tests of more than one folder share: one server of a kind for the whole run."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.http import HTTP
from tests.event_loops import LOOPS, LoopFactory
from tests.lanes import needs_external_server, on_demand, running_test
from tests.python_processes import without_accounts
from tests.real_costs import full_costs, low_costs
from tests.servers import Azurite, GCSServer, SeaweedFS
from tests.servers.certificate import make_certificate

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--loops all` runs every asynchronous test on every loop, not only those whose subject the loop is."""
    parser.addoption("--loops", choices=("one", "all"), default="one", help="run each async test on one loop, or all")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, LoopFactory]:
    """The loops a test runs on: one, or each of them where it is marked `every_loop`."""
    if config.getoption("--loops") == "all" or item.get_closest_marker("every_loop") is not None:
        return LOOPS
    return {"asyncio": LOOPS["asyncio"]}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need an external server; leave out `long` and `fuzz` unless `-m` names them."""
    for item in items:
        if needs_external_server(item):
            item.add_marker("server")
    left_out = [item for item in items if on_demand(item, config.option.markexpr)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        unwanted = set(left_out)
        items[:] = [item for item in items if item not in unwanted]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tell `Process` which test runs: only tests marked `server` may start an external server."""
    running_test(item)
    try:
        return (yield)
    finally:
        running_test(None)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare what this process hands down to the processes that it starts; no test uses an account of the user's."""
    without_accounts(os.environ)
    # A shell that runs the tests in the background ignores Ctrl-C, and so would the scripts that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tests start hundreds of interpreters: they compile each module once.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(config.rootpath / ".cache/bytecode"))


@pytest.fixture(scope="session", autouse=True)
def lowered_costs() -> Iterator[None]:
    """Neither syncs nor password hashes cost what they do in use."""
    with low_costs():
        yield


@pytest.fixture
def real_costs() -> Iterator[None]:
    """Syncs and password hashes cost what they do in use."""
    with full_costs():
        yield


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Threads, ended afterwards."""
    threads = Threads(4)
    yield threads
    threads.close()


@pytest.fixture
async def http(threads: Threads) -> AsyncIterator[HTTP]:
    """A data plane that is not patient."""
    http = HTTP(threads, connect_timeout=5, stall_timeout=0.3)
    yield http
    await http.aclose()
    assert not http.client.open_connections


@pytest.fixture
def certified(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server needs, and the authority to trust."""
    certificate, key, authority = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, authority


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A server over plain HTTP, signatures enforced."""
    with SeaweedFS.start(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def other_weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A second server with keys of its own."""
    with SeaweedFS.start(tmp_path_factory.mktemp("other-weed")) as server:
        yield server


@pytest.fixture(scope="session")
def bucket(weed: SeaweedFS) -> str:
    """A bucket there."""
    return weed.create_bucket(f"bucket-{uuid4().hex[:8]}")


@pytest.fixture
def prefix(weed: SeaweedFS, bucket: str) -> Iterator[str]:
    """Where the keys of one test start; uploads that it leaves there on purpose are removed for the others' sake."""
    top = f"{uuid4().hex[:12]}/"
    yield f"{bucket}/{top}"
    for upload in weed.client.list_multipart_uploads(Bucket=bucket, Prefix=top).get("Uploads", ()):
        weed.client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Azure Blob Storage over plain HTTP, signatures enforced and checksums compared."""
    with Azurite.start(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def container(azurite: Azurite) -> str:
    """A container there, of the test's own."""
    return azurite.create_container(f"container-{uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GCSServer]:
    """Google Cloud Storage in memory; it lets everybody do everything."""
    with GCSServer.start(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture
def gcs_bucket(gcs: GCSServer) -> str:
    """A bucket there, of the test's own."""
    return gcs.create_bucket(f"bucket-{uuid4().hex[:12]}")
