"""OpenStack Swift with its S3 interface (`s3api`): proxy, account, container and object server on one directory.

The programs come with the package `swift` of PyPI, which the development dependencies leave out:
`uv pip install swift`. The directory's file system needs extended attributes.

Source: https://docs.openstack.org/swift/latest/development_saio.html
"""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from typing import Self

from tests.servers.process import Process, free_port, program
from tests.servers.s3 import S3Server

__all__ = ["SwiftServer"]

_RINGS = ("account", "container", "object")

_STORE = """
[DEFAULT]
devices = {directory}/devices
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {directory}
disable_fallocate = true
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {directory}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""

_HASHES = """
[swift-hash]
swift_hash_path_prefix = {secret}
swift_hash_path_suffix = {secret}
[storage-policy:0]
name = gold
default = yes
"""


class SwiftServer(S3Server):
    """Swift's four servers, one process each; they take some 3 s to start.

    Example:
        with SwiftServer.start(tmp_path) as server:
            bucket = server.create_bucket("bucket-one")
    """

    def __init__(self, process: Process, stores: list[Process], endpoint: str, secret_key: str) -> None:
        super().__init__(process, endpoint, access_key="test:tester", secret_key=secret_key)
        self._stores = stores

    @classmethod
    def start(cls, directory: Path) -> Self:
        """Start the servers, which keep everything in `directory`, and wait until they serve.

        Raises:
            FileNotFoundError: the programs are not installed.
            ServerStartError: they do not start.
        """
        secret, port = secrets.token_hex(20), free_port()
        values = {"directory": directory, "user": directory.owner(), "secret": secret}
        (directory / "devices/d1").mkdir(parents=True)
        (directory / "swift.conf").write_text(_HASHES.format(**values))
        (directory / "proxy-server.conf").write_text(_PROXY.format(port=port, **values))
        environment = {"SWIFT_CONF_FILE": str(directory / "swift.conf"), "PYTHONWARNINGS": "ignore"}
        stores = list[Process]()
        try:
            for name in _RINGS:
                stores.append(_start_store(directory, name, values, environment))
            process = _start(directory, "proxy", environment)
        except BaseException:
            _kill(stores)
            raise
        server = cls(process, stores, f"http://127.0.0.1:{port}", secret)
        try:
            process.wait_until(lambda: server.answers("/healthcheck"))
        except BaseException:
            server.stop()
            raise
        return server

    def stop(self) -> None:
        super().stop()
        _kill(self._stores)


def _start_store(directory: Path, name: str, values: dict[str, object], environment: dict[str, str]) -> Process:
    """Start the server of one ring, which has one device."""
    port, build = free_port(), [program("swift-ring-builder"), str(directory / f"{name}.builder")]
    for arguments in (["create", "4", "1", "0"], ["add", f"r1z1-127.0.0.1:{port}/d1", "1"], ["rebalance"]):
        subprocess.run([*build, *arguments], check=True, capture_output=True, timeout=60)
    (directory / f"{name}-server.conf").write_text(_STORE.format(name=name, port=port, **values))
    return _start(directory, name, environment)


def _start(directory: Path, name: str, environment: dict[str, str]) -> Process:
    command = [program(f"swift-{name}-server"), str(directory / f"{name}-server.conf")]
    return Process(command, directory / f"{name}.log", environment)


def _kill(processes: list[Process]) -> None:
    for process in processes:
        process.kill()
