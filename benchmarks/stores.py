"""Servers as places of objects, each with buckets that are made, filled, looked into and removed behind the backs.

Azurite and fake-gcs-server are slow, keep what was deleted, or get slower with every object: each bucket there is a
server of its own.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.clients.job import Place
from benchmarks.delay import Delay
from tests.server.running_hub import SECRETS, UnitProcess
from tests.servers import Azurite, GCSServer, Process, SeaweedFS

__all__ = ["PREFIX", "AzureStore", "GCPStore", "S3Store", "Store", "UnitStore"]

PREFIX = "data/"


class Store(ABC):
    """Where objects are. Buckets are made empty, but ready for the first object.

    Attributes:
        provider: its name.
    """

    provider: str

    @abstractmethod
    def create(self, bucket: str) -> None:
        """Make a bucket."""

    @abstractmethod
    def delete(self, bucket: str) -> None:
        """Remove it with what is in it."""

    @abstractmethod
    def place(self, bucket: str) -> Place:
        """What a contestant is told."""

    @abstractmethod
    def listing(self, bucket: str) -> dict[str, int]:
        """Bytes of what is below the prefix, by its path below it."""

    @abstractmethod
    def processes(self) -> list[int]:
        """The ids of the processes that serve."""

    def cpu(self) -> float:
        """CPU seconds those have taken so far."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


class S3Store(Store):
    """A SeaweedFS; `secure` for what a contestant is told."""

    provider = "AWS"

    def __init__(self, server: SeaweedFS, *, secure: bool = False) -> None:
        self._server = server
        self._secure = secure

    def create(self, bucket: str) -> None:
        self._server.create_bucket(bucket)
        # The server makes a bucket's volumes when its first object arrives.
        self._server.client.put_object(Bucket=bucket, Key="first", Body=b"first")

    def delete(self, bucket: str) -> None:
        self._server.delete_bucket(bucket)

    def place(self, bucket: str) -> Place:
        server = self._server
        return Place(
            provider=self.provider,
            bucket=bucket,
            prefix=PREFIX,
            endpoint=server.endpoint if self._secure else server.http_endpoint,
            region=server.region,
            access_key=server.access_key,
            secret_key=server.secret_key,
            ca_bundle=str(server.ca_bundle) if self._secure else None,
        )

    def listing(self, bucket: str) -> dict[str, int]:
        return {name: item["Size"] for name, item in self._items(bucket)}

    def state(self, bucket: str) -> dict[str, Any]:
        """When what is below the prefix was stored."""
        return {name: item["LastModified"] for name, item in self._items(bucket)}

    def processes(self) -> list[int]:
        return [self._server.pid]

    def _items(self, bucket: str) -> Iterator[tuple[str, Any]]:
        pages = self._server.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
        for page in pages:
            yield from ((item["Key"].removeprefix(PREFIX), item) for item in page.get("Contents", []))


class _Servers(Store):
    """A server for each bucket."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: dict[str, Any] = {}

    @abstractmethod
    def _start(self, directory: Path, bucket: str) -> Any:
        """A server with this bucket."""

    def create(self, bucket: str) -> None:
        self._servers[bucket] = self._start(self._directory / bucket, bucket)

    def delete(self, bucket: str) -> None:
        self._servers.pop(bucket).stop()
        shutil.rmtree(self._directory / bucket)

    def processes(self) -> list[int]:
        return [server.pid for server in self._servers.values()]

    def close(self) -> None:
        """End all servers."""
        for bucket in list(self._servers):
            self.delete(bucket)

    @classmethod
    @contextmanager
    def running(cls, directory: Path) -> Iterator[Store]:
        """A store in this directory."""
        store = cls(directory)
        try:
            yield store
        finally:
            store.close()


class AzureStore(_Servers):
    """Azurites over plain HTTP."""

    provider = "AZURE"

    def _start(self, directory: Path, bucket: str) -> Azurite:
        # rclone speaks a newer version of the API than Azurite knows.
        server = Azurite.start(directory, any_version=True)
        server.create_container(bucket)
        return server

    def place(self, bucket: str) -> Place:
        server: Azurite = self._servers[bucket]
        return Place(
            provider=self.provider,
            bucket=bucket,
            prefix=PREFIX,
            endpoint=server.endpoint,
            access_key=server.account,
            secret_key=server.account_key,
        )

    def listing(self, bucket: str) -> dict[str, int]:
        container = self._servers[bucket].client.get_container_client(bucket)
        blobs = container.list_blobs(name_starts_with=PREFIX)
        return {blob.name.removeprefix(PREFIX): blob.size for blob in blobs}


class GCPStore(_Servers):
    """Servers of fake-gcs-server."""

    provider = "GCP"

    def _start(self, directory: Path, bucket: str) -> GCSServer:
        server = GCSServer.start(directory)
        server.create_bucket(bucket)
        return server

    def place(self, bucket: str) -> Place:
        return Place(provider=self.provider, bucket=bucket, prefix=PREFIX, endpoint=self._servers[bucket].endpoint)

    def listing(self, bucket: str) -> dict[str, int]:
        server: GCSServer = self._servers[bucket]
        found: dict[str, int] = {}
        query = {"prefix": PREFIX}
        while True:
            page = server.ask("GET", f"/storage/v1/b/{bucket}/o?{urlencode(query)}")
            found |= {item["name"].removeprefix(PREFIX): int(item["size"]) for item in page.get("items", ())}
            if not page.get("nextPageToken"):
                return found
            query["pageToken"] = page["nextPageToken"]


class UnitStore(Store):
    """A compute unit of ours; a bucket is a directory of its volume.

    Args:
        unit: the unit, which is served.
        process: what serves it.
        delay: what contestants reach it through.
    """

    provider = "UNIT"

    def __init__(self, unit: UnitProcess, process: Process, delay: Delay | None = None) -> None:
        self._unit = unit
        self._process = process
        self._delay = delay

    def create(self, bucket: str) -> None:
        (self._unit.root / bucket / PREFIX).mkdir(parents=True)

    def delete(self, bucket: str) -> None:
        shutil.rmtree(self._unit.root / bucket)

    def place(self, bucket: str) -> Place:
        endpoint = self._unit.url if self._delay is None else self._delay.url
        return Place(provider=self.provider, prefix=f"{bucket}/{PREFIX}", endpoint=endpoint, secret_key=SECRETS.rw)

    def listing(self, bucket: str) -> dict[str, int]:
        top = self._unit.root / bucket / PREFIX
        return {path.relative_to(top).as_posix(): path.stat().st_size for path in top.rglob("*") if path.is_file()}

    def processes(self) -> list[int]:
        return [self._process.pid] if self._delay is None else [self._process.pid, self._delay.pid]
