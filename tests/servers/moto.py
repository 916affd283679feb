"""moto: S3 in memory, a second opinion on odd key names; it checks neither signatures nor checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from tests.servers.process import Process, free_port, program
from tests.servers.s3 import S3Server

__all__ = ["MotoServer"]


class MotoServer(S3Server):
    """A moto_server on a port of its own. Its buckets have to be empty to be removed.

    Example:
        with MotoServer.start(tmp_path) as server:
            server.create_bucket("bucket-one")
    """

    @classmethod
    def start(cls, directory: Path) -> Self:
        """Start a server, with its log in `directory`, and wait until it serves.

        Raises:
            FileNotFoundError: the program is not installed.
            ServerStartError: it does not start.
        """
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        process = Process([program("moto_server"), "-H", "127.0.0.1", "-p", str(port)], directory / "moto.log")
        server = cls(process, f"http://127.0.0.1:{port}", access_key="AKIDEXAMPLE", secret_key="secret")
        try:
            process.wait_until(lambda: server.answers("/moto-api/"))
        except BaseException:
            server.stop()
            raise
        return server
