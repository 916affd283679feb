"""An SSH server with SFTP, run as a program of its own: asyncssh's, or asyncssh with OpenSSH's `sftp-server` behind it.

It prints its port. What is not asked for on the command line is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import asyncssh


class Users(asyncssh.SSHServer):
    """Signs in one user by password; keys are asyncssh's business. Lets its users connect on, for jump hosts."""

    username = password = ""

    def session_requested(self) -> Program | bool:
        return Program() if Program.path else True

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return bool(self.password)

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (self.username, self.password)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


class Files(asyncssh.SFTPServer):
    """asyncssh's SFTP server, with what a test wants to go wrong."""

    fail = ""

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if self.fail == "full" and offset > 100_000:
            raise asyncssh.SFTPFailure("No space left on device")
        if self.fail == "hang" and offset > 100_000:
            await asyncio.Event().wait()
        if self.fail == "slow":
            await asyncio.sleep(0.02)
        result = super().write(file_obj, offset, data)
        return await result if asyncio.iscoroutine(result) else result  # type: ignore[return-value]

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        if self.fail == "trickle":
            await asyncio.sleep(0.05)
            size = 1
        if self.fail == "short":
            size = max(1, size // 3)
        if self.fail == "more":
            size += 1
        result = super().read(file_obj, offset, size)
        return await result if asyncio.iscoroutine(result) else result  # type: ignore[return-value]

    async def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        if self.fail == "attributes":
            raise asyncssh.SFTPOpUnsupported("no attributes here")
        if self.fail == "forgetful":
            return
        result = super().fsetstat(file_obj, attrs)
        if asyncio.iscoroutine(result):
            await result

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        if self.fail == "rename":
            raise asyncssh.SFTPOpUnsupported("no posix-rename here")
        if self.fail == "refused-rename" and os.path.exists(self.map_path(newpath)):  # noqa: ASYNC240
            raise asyncssh.SFTPFailure("no")
        result = super().posix_rename(oldpath, newpath)
        if asyncio.iscoroutine(result):
            await result

    async def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        told = self._shown(super().fstat(file_obj))
        if self.fail == "sizeless-files":
            told.size = None
        return told

    async def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return self._shown(super().stat(path))

    async def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return self._shown(super().lstat(path))

    def _shown(self, found: object) -> asyncssh.SFTPAttrs:
        told = asyncssh.SFTPAttrs.from_local(found) if isinstance(found, os.stat_result) else found
        assert isinstance(told, asyncssh.SFTPAttrs)
        if self.fail == "sizeless":
            told.size = None
        return told

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        numbers = itertools.count()
        while True:
            async for name in super().scandir(path):
                yield self._listed(name, next(numbers))
            if self.fail != "endless":
                return

    def _listed(self, name: asyncssh.SFTPName, number: int) -> asyncssh.SFTPName:
        if self.fail == "names-only":
            return asyncssh.SFTPName(name.filename, b"", asyncssh.SFTPAttrs())
        if self.fail == "lines-only":
            mode = name.attrs.permissions or 0
            line = f"{stat.filemode(mode)} 1 me me 0 Jan 1 00:00 name".encode()
            return asyncssh.SFTPName(name.filename, line, asyncssh.SFTPAttrs())
        if self.fail == "paths" and name.filename not in (b".", b".."):
            return asyncssh.SFTPName(b"/srv/" + _bytes(name.filename), name.longname, name.attrs)
        return name

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        if self.fail == "statvfs":
            raise asyncssh.SFTPOpUnsupported("no statvfs here")
        told = super().statvfs(path)
        if self.fail == "no-size":
            return asyncssh.SFTPVFSAttrs(bsize=4096, frsize=4096, flag=0, namemax=255)
        if self.fail == "no-unit":
            told.bsize = told.frsize = 0  # type: ignore[union-attr]
        return told  # type: ignore[return-value]

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        if self.fail == "attributes" and attrs.permissions is not None:
            raise asyncssh.SFTPOpUnsupported("no attributes here")
        super().mkdir(path, attrs)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if self.fail == "attributes" and attrs.permissions is not None:
            raise asyncssh.SFTPOpUnsupported("no attributes here")
        if self.fail == "read-write" and pflags & asyncssh.FXF_READ and pflags & asyncssh.FXF_WRITE:
            raise asyncssh.SFTPOpUnsupported("Cannot open file in mode: CREATE|EXCLUSIVE|READ|WRITE")
        return super().open(path, pflags, attrs)


def _bytes(name: bytes | str) -> bytes:
    return name if isinstance(name, bytes) else name.encode()


class Program(asyncssh.SSHServerSession[bytes]):
    """OpenSSH's server in the place of asyncssh's: bytes go to its standard input and come from its output."""

    path = ""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def session_started(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._arrived.put_nowait(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived.put_nowait(b"")

    def eof_received(self) -> bool:
        self._arrived.put_nowait(b"")
        return True

    async def _run(self) -> None:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(self.path, stdin=pipe, stdout=pipe)
        assert child.stdin is not None
        assert child.stdout is not None
        output = asyncio.ensure_future(self._copy_output(child.stdout))
        while data := await self._arrived.get():
            child.stdin.write(data)
            await child.stdin.drain()
        child.stdin.close()
        await output
        self._channel.exit(await child.wait())

    async def _copy_output(self, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(1 << 18):
            if self._channel.is_closing():
                return
            self._channel.write(data)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host-key", required=True)
    parser.add_argument("--authorized-keys")
    parser.add_argument("--username", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--program", help="OpenSSH's sftp-server")
    parser.add_argument("--fail", default="", help="what goes wrong: see Files")
    parser.add_argument("--version", type=int, default=3)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ordinary", action="store_true", help="without root's way round the modes of files")
    arguments = parser.parse_args()
    os.umask(0o022)
    Users.username, Users.password, Files.fail = arguments.username, arguments.password, arguments.fail
    options: dict[str, object] = {"sftp_factory": Files, "sftp_version": arguments.version}
    if arguments.program:
        Program.path = arguments.program
        options = {}
    with ExitStack() as stack:
        if arguments.ordinary:
            sys.path.insert(0, str(Path(__file__).parents[2]))
            from tests.ordinary_rights import ordinary_rights

            stack.enter_context(ordinary_rights())
        await serve(arguments, options)


async def serve(arguments: argparse.Namespace, options: dict[str, object]) -> None:
    """Listens until the program is killed."""
    server = await asyncssh.listen(
        "127.0.0.1",
        arguments.port,
        server_factory=Users,
        server_host_keys=[arguments.host_key],
        authorized_client_keys=arguments.authorized_keys,
        encoding=None,
        allow_scp=False,
        **options,
    )
    sys.stdout.write(f"{server.get_port()}\n")
    sys.stdout.flush()
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
