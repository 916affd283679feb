"""Who is let in, and which server is trusted; all at asyncssh's server, as the SFTP part does not matter."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError, NetworkError
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.sftp.provider import SFTPProvider
from dxflow_async.providers.sftp.settings import SFTPSettings
from tests.providers.in_memory_bodies import body
from tests.providers.sftp.connected_sftp import Connect
from tests.servers.process import free_port
from tests.servers.ssh import SSHServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    """A server that takes a key, and the password of `me`."""
    with SSHServer.start(tmp_path_factory.mktemp("ssh"), username="me", password="s3cret pä") as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with an empty `.ssh`, and no agent."""
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


async def works(sftp: SFTPProvider) -> None:
    """Writes a file."""
    await sftp.write("name", body(b"x"), ObjectOptions())


async def refusal(sftp: SFTPProvider, cls: type[Exception]) -> str:
    """Why a file could not be written; trying again would not help."""
    with pytest.raises(cls) as raised:
        await works(sftp)
    assert not getattr(raised.value, "retryable", False)
    return str(raised.value)


async def test_password(server: SSHServer, connect: Connect) -> None:
    """A password signs in; a wrong one is an error that says what to check, and does not show it."""
    await works(connect(server.settings(key_files=None, password="s3cret pä")))
    said = await refusal(connect(server.settings(key_files=None, password="wr0ng")), AccessDeniedError)
    assert "check username, key_files, password" in said
    assert "wr0ng" not in said


async def test_key_with_a_passphrase(server: SSHServer, tmp_path: Path, connect: Connect) -> None:
    """An encrypted key needs its passphrase; which key, and why, is said, and the passphrase is not."""
    key = asyncssh.read_private_key(server.directory / "client")
    key.write_private_key(tmp_path / "locked", "pkcs8-pem", passphrase="s3same")
    await works(connect(server.settings(key_files=str(tmp_path / "locked"), passphrase="s3same")))
    for passphrase in (None, "wr0ng"):
        settings = server.settings(key_files=str(tmp_path / "locked"), passphrase=passphrase)
        said = await refusal(connect(settings), ConfigurationError)
        assert "key_files: a private key cannot be used" in said
        assert "wr0ng" not in said


async def test_several_keys(server: SSHServer, tmp_path: Path, connect: Connect) -> None:
    """Keys are tried in turn; one that the server does not know is refused; a missing one is named."""
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / "other")
    await works(connect(server.settings(key_files=f"{tmp_path / 'other'}:{server.directory / 'client'}")))
    assert "refused every way" in await refusal(
        connect(server.settings(key_files=str(tmp_path / "other"))), AccessDeniedError
    )
    said = await refusal(connect(server.settings(key_files=str(tmp_path / "missing"))), ConfigurationError)
    assert str(tmp_path / "missing") in said


async def test_unknown_host_key(server: SSHServer, tmp_path: Path, connect: Connect) -> None:
    """A server whose key is not known is refused; the fingerprint, and what to do, is said. Nothing is learned."""
    known_hosts = tmp_path / "known_hosts"
    fingerprint = asyncssh.read_private_key(server.directory / "host").get_fingerprint()
    for _ in range(2):
        said = await refusal(connect(server.settings(known_hosts=known_hosts)), NetworkError)
        assert f"the host key of [127.0.0.1]:{server.port} (ssh-ed25519 {fingerprint}) is not in {known_hosts}" in said
        assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> {known_hosts}" in said
    assert not known_hosts.exists()
    known_hosts.write_text(server.known_hosts.read_text())
    await works(connect(server.settings(known_hosts=known_hosts)))


async def test_byte_order_mark(server: SSHServer, tmp_path: Path, connect: Connect) -> None:
    """The first line of a file with a byte order mark counts: a known key is known, and a revoked one is refused."""
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(server.known_hosts.read_text(), "utf-8-sig")
    await works(connect(server.settings(known_hosts=known_hosts)))
    line = server.known_hosts.read_text().strip()
    known_hosts.write_text(f"@revoked {line}\n{line}\n", "utf-8-sig")
    assert "revoked" in await refusal(connect(server.settings(known_hosts=known_hosts)), NetworkError)


async def test_key_that_is_added_is_known_in_the_same_session(
    server: SSHServer, tmp_path: Path, connect: Connect
) -> None:
    """After the key was added, the next call works, without a new session."""
    sftp = connect(server.settings(known_hosts=tmp_path / "known_hosts"))
    await refusal(sftp, NetworkError)
    (tmp_path / "known_hosts").write_text(server.known_hosts.read_text())
    await works(sftp)


async def test_changed_host_key(server: SSHServer, tmp_path: Path, connect: Connect) -> None:
    """A server with another key than the known one is refused, in other words than an unknown one."""
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {other}")
    said = await refusal(connect(server.settings(known_hosts=tmp_path / "known_hosts")), NetworkError)
    assert "which is not the one in" in said
    assert "somebody intercepts the connection" in said
    assert f"ssh-keygen -f {tmp_path / 'known_hosts'} -R '[127.0.0.1]:{server.port}'" in said


async def test_revoked_host_key(server: SSHServer, tmp_path: Path, connect: Connect) -> None:
    """A key that is marked as revoked is refused, though it is known."""
    text = server.known_hosts.read_text()
    (tmp_path / "known_hosts").write_text(f"{text}@revoked {text}")
    said = await refusal(connect(server.settings(known_hosts=tmp_path / "known_hosts")), NetworkError)
    assert "revoked" in said


async def test_list_of_known_hosts_that_is_none(server: SSHServer, tmp_path: Path, connect: Connect) -> None:
    """A directory, or bytes that are no text, in the place of the file are named."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "binary"):
        said = await refusal(connect(server.settings(known_hosts=path)), ConfigurationError)
        assert f"known_hosts: {path} cannot be used" in said


@pytest.mark.parametrize("known", ["none", "/dev/null"])
async def test_ssh_config_cannot_turn_verification_off(
    server: SSHServer, home: Path, connect: Connect, known: str
) -> None:
    """`UserKnownHostsFile none`, or `StrictHostKeyChecking no`, in `~/.ssh/config` trusts no server."""
    (home / ".ssh/config").write_text(f"Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile {known}\n")
    sftp = connect(server.settings(known_hosts=None, ssh_config=True))
    assert "ssh-keyscan" in await refusal(sftp, NetworkError)


async def test_ssh_config(server: SSHServer, home: Path, connect: Connect) -> None:
    """An alias of `~/.ssh/config` brings host, port, user, key and known hosts; settings of our own win."""
    (home / ".ssh/config").write_text(
        f"Host archive\n  HostName 127.0.0.1\n  Port {server.port}\n  User me\n"
        f"  IdentityFile {server.directory / 'client'}\n  UserKnownHostsFile {server.known_hosts}\n"
    )
    await works(connect(SFTPSettings(host="archive", path=str(server.root))))
    with pytest.raises(NetworkError):
        await works(connect(SFTPSettings(host="archive", path=str(server.root), port=free_port())))
    with pytest.raises(NetworkError):
        await works(connect(SFTPSettings(host="archive.invalid", path="/", ssh_config=False)))


async def test_default_known_hosts_and_key(server: SSHServer, home: Path, connect: Connect) -> None:
    """Without any settings, `~/.ssh/known_hosts` and `~/.ssh/id_ed25519` are used."""
    (home / ".ssh/known_hosts").write_text(server.known_hosts.read_text())
    (home / ".ssh/id_ed25519").write_bytes((server.directory / "client").read_bytes())
    (home / ".ssh/id_ed25519").chmod(0o600)
    await works(connect(SFTPSettings(host="127.0.0.1", port=server.port, username="me", path=str(server.root))))


def wait_for_agent(path: Path) -> None:
    for _ in range(500):
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(0.01)
    raise TimeoutError(path)


async def test_agent(server: SSHServer, home: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the SSH agent sign in, unless `agent = false`."""
    agent = await asyncio.create_subprocess_exec(
        "ssh-agent", "-D", "-a", str(home / "agent"), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
        await asyncio.to_thread(wait_for_agent, home / "agent")
        async with asyncssh.connect_agent() as client:
            await client.add_keys([asyncssh.read_private_key(server.directory / "client")])
        await works(connect(server.settings(key_files=None, agent=True)))
        await refusal(connect(server.settings(key_files=None, agent=False)), AccessDeniedError)
    finally:
        agent.kill()
        await agent.wait()


async def test_jump_host(server: SSHServer, tmp_path: Path, connect: Connect) -> None:
    """A connection leads through another server, whose host key is verified as well."""
    with SSHServer.start(tmp_path / "jump", username="me", password="s3cret pä") as jump:
        both = tmp_path / "both"
        both.write_text(server.known_hosts.read_text() + jump.known_hosts.read_text())
        through = f"me@127.0.0.1:{jump.port}"
        given: dict[str, Any] = {"jump_host": through, "key_files": None, "password": "s3cret pä"}
        await works(connect(server.settings(**given, known_hosts=both)))
        said = await refusal(connect(server.settings(**given)), NetworkError)
        assert f"[127.0.0.1]:{jump.port}" in said


async def test_nobody_listens(server: SSHServer, connect: Connect) -> None:
    """A refused connection may be tried again; an unknown host may not."""
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:\d+ refused the connection; check host and port") as raised:
        await works(connect(server.settings(port=free_port())))
    assert raised.value.retryable
    assert "could not find the host no-such.invalid; check host" in await refusal(
        connect(server.settings(host="no-such.invalid")), NetworkError
    )


async def test_what_is_no_ssh_server(server: SSHServer, threads: Threads) -> None:
    """Another protocol's server, and one that says nothing, are errors in the time to connect."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3000)
        writer.close()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(1 << 16):
                pass
        writer.close()
        closed.set()

    closed = asyncio.Event()
    http = HTTP(threads, connect_timeout=1.0)
    for handler, error, text in ((talk, NetworkError, "failed"), (say_nothing, TimeoutError, "did not answer in time")):
        async with await asyncio.start_server(handler, "127.0.0.1", 0) as other:
            settings = server.settings(port=other.sockets[0].getsockname()[1])
            with pytest.raises(error, match=text):
                await works(SFTPProvider(settings, http, threads))
            if handler is say_nothing:  # what was given up is closed
                await asyncio.wait_for(closed.wait(), 5)
    await http.aclose()


def test_missing_extra(http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asyncssh the error says how to install it, before any I/O."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'dxflow-async\[sftp\]'"):
        SFTPProvider(SFTPSettings(host="host"), http, threads)


def test_no_host(http: HTTP, threads: Threads) -> None:
    """A remote without a host is refused."""
    with pytest.raises(ConfigurationError, match="host is missing"):
        SFTPProvider(SFTPSettings(), http, threads)
