"""SSH servers, and the provider at each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.sftp.provider import SFTPProvider
from dxflow_async.providers.sftp.settings import SFTPSettings
from tests.providers.sftp.connected_sftp import Connect
from tests.servers.ssh import SSHServer, openssh_program


@pytest.fixture(scope="session", params=["asyncssh", "openssh"])
def ssh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """A server: asyncssh's, and OpenSSH's where it is installed."""
    openssh = request.param == "openssh"
    if openssh and openssh_program() is None:
        pytest.skip("needs OpenSSH's sftp-server: apt-get install openssh-sftp-server")
    with SSHServer.start(tmp_path_factory.mktemp(request.param), openssh=openssh) as server:
        yield server


@pytest.fixture
async def connect(http: HTTP, threads: Threads) -> AsyncIterator[Connect]:
    """Makes providers."""
    http.stall_timeout = 20.0
    made: list[SFTPProvider] = []

    def connect(settings: SFTPSettings) -> SFTPProvider:
        made.append(SFTPProvider(settings, http, threads))
        return made[-1]

    yield connect
    for provider in made:
        await provider.aclose()


@pytest.fixture
def area(ssh: SSHServer) -> Path:
    """A directory of the test's own on the server."""
    directory = ssh.root / f"area-{uuid4().hex[:8]}"
    directory.mkdir()
    return directory


@pytest.fixture
def sftp(ssh: SSHServer, area: Path, connect: Connect) -> SFTPProvider:
    """The provider, whose keys are below the area."""
    return connect(ssh.settings(path=str(area)))
