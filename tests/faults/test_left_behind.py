"""What a program that was killed in the midst of a large upload has left at a service, and who removes it.

The same for S3 is in `test_kill.py` and `tests/storage/test_cleaning.py`, for units that are resumed in
`test_unit_kill.py`, and for SSH in `tests/transfer/executor/test_left_at_ssh.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.hub.app import create_app
from tests.faults.killed_processes import Program, sign_in
from tests.server.running_hub import UnitProcess
from tests.servers import Azurite, GCSServer
from tests.sessions import MiB
from tests.waiting import until

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

SIZE = 96 * MiB
NAME = "killed/large"


@dataclass
class Destination:
    """A service that a program uploads to.

    Attributes:
        program: knows the service.
        location: the location of the object.
        left: returns what is left there of an upload that is neither finished nor removed.
        there: returns whether the object is there.
    """

    program: Program
    location: str
    left: Callable[[], list[str]]
    there: Callable[[], bool]


def client(home: Path, **settings: object) -> Program:
    """A program that is slow enough to be killed."""
    return Program(home, None, part_size=5 * MiB, max_bandwidth=24 * MiB, max_concurrency=2, **settings)


@asynccontextmanager
async def opened(kind: str, request: pytest.FixtureRequest, home: Path, top: Path) -> AsyncIterator[Destination]:
    """A destination of that kind."""
    if kind == "azure":
        azurite: Azurite = request.getfixturevalue("azurite")
        container: str = request.getfixturevalue("container")
        azure = {"endpoint": azurite.endpoint, "account": azurite.account, "account_key": azurite.account_key}
        program = client(home, **{f"azure_{name}": value for name, value in azure.items()})
        blobs = azurite.client.get_container_client(container)
        yield Destination(
            program,
            f"azure:/{container}/{NAME}",
            lambda: azurite.uncommitted(container),
            lambda: NAME in set(blobs.list_blob_names()),
        )
    elif kind == "google":
        gcs: GCSServer = request.getfixturevalue("gcs")
        bucket: str = request.getfixturevalue("gcs_bucket")
        yield Destination(
            client(home, gcp_endpoint=gcs.endpoint),
            f"gcp:/{bucket}/{NAME}",
            lambda: gcs.names(bucket, ".dxflow-parts/"),
            lambda: gcs.names(bucket, NAME) == [NAME],
        )
    else:
        (top / "unit").mkdir()
        unit, hub = UnitProcess(top / "unit"), Server(create_app(top / "hub"), Listening())
        process = await asyncio.to_thread(unit.start)
        try:
            program = client(home)
            await sign_in(program, await hub.start(), unit.url, top / "unit/secrets.json")
            uploads = unit.root / ".dx-uploads"
            stored = unit.root / NAME
            yield Destination(
                program, f"unit:/mine/{NAME}", lambda: [str(path) for path in uploads.glob("*.data")], stored.exists
            )
        finally:
            process.kill()
            await hub.aclose()


@pytest.mark.parametrize(
    ("kind", "then"),
    [("azure", "resume"), ("azure", "clean"), ("google", "resume"), ("google", "clean"), ("unit", "clean")],
)
async def test_a_killed_upload(kind: str, then: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Resuming goes on with what is left, and `jobs clean` removes it.

    Azure cannot remove it, and a unit keeps the parts that were on their way: both drop it when it expires.
    """
    source, home = tmp_path / "large", tmp_path / "home"
    with source.open("wb") as file:
        file.truncate(SIZE)
    async with opened(kind, request, home, tmp_path) as destination:
        program = destination.program

        async def begun() -> None:
            await until(lambda: bool(destination.left()))

        assert await program.kill("cp", str(source), destination.location, when=begun)
        (job,) = program.jobs
        assert destination.left()
        if then == "resume":
            await program.run("jobs", "resume", job)
        else:
            await program.run("jobs", "clean", "--yes")
        assert destination.there() == (then == "resume")
        assert kind == "unit" or bool(destination.left()) == (kind == "azure" and then == "clean")
        assert program.jobs == []
