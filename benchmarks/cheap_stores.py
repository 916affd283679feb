"""Servers that cost clients next to nothing, and relays in front of others.

nginx with its DAV module stores what is put and sends files with `sendfile`; a few lines of configuration make it look
enough like S3 for every contestant: it echoes checksums, and answers listings with pages that lie in files. Where the
program is missing, `benchmarks.cheap_s3` takes its place, which costs somewhat more.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from benchmarks.clients.job import Place
from benchmarks.data import Dataset
from benchmarks.delay import Delay, listens
from benchmarks.stores import PREFIX, Store
from tests.servers import Process, free_port

__all__ = ["CheapStore", "FarStore", "NginxStore", "OwnStore", "find_nginx"]

_PAGE = 1000
_CONFIGURATION = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 65536;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 300;
    keepalive_requests 10000000;
    client_max_body_size 0;
    client_body_buffer_size 64k;
    client_body_temp_path {directory}/bodies;
    proxy_temp_path {directory}/unused; fastcgi_temp_path {directory}/unused;
    uwsgi_temp_path {directory}/unused; scgi_temp_path {directory}/unused;
    map $args $listed {{
        default "";
        "~prefix=nothing" none;
        "~continuation-token=(?<number>[0-9]+)" page$number;
        "~list-type=2" page0;
    }}
    map $request_method $stored_etag {{ default ""; PUT '"1"'; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {directory}/objects;
        {limit}
        location / {{
            if ($args ~ start-after=) {{ return 501; }}
            if ($listed = none) {{ rewrite ^ /.pages/none break; }}
            if ($listed) {{ rewrite ^/([^/]+) /.pages/$1/$listed break; }}
            dav_methods PUT DELETE;
            create_full_put_path on;
            add_header ETag $stored_etag always;
            add_header x-amz-checksum-crc32c $http_x_amz_checksum_crc32c always;
            add_header x-amz-request-id $request_id always;
        }}
    }}
}}
"""


def find_nginx() -> str | None:
    """The path of nginx, if it is installed with its DAV module."""
    path = shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
    if path is None:
        return None
    built = subprocess.run([path, "-V"], capture_output=True, text=True, check=False).stderr
    return path if "http_dav_module" in built else None


class CheapStore(Store):
    """A cheap server of S3's small objects. It takes no parts of uploads."""

    provider = "AWS"

    def __init__(self, port: int, process: Process) -> None:
        self._port = port
        self._process = process

    @abstractmethod
    def stock(self, dataset: Dataset) -> tuple[str, Dataset]:
        """Make a dataset available; returns its bucket, and what a download can be compared with."""

    def place(self, bucket: str) -> Place:
        return Place(
            provider=self.provider,
            bucket=bucket,
            prefix=PREFIX,
            endpoint=f"http://127.0.0.1:{self._port}",
            region="us-east-1",
            access_key="AKIDEXAMPLE",
            secret_key="secretsecret",
        )

    def processes(self) -> list[int]:
        return [self._process.pid]


class NginxStore(CheapStore):
    """nginx with its DAV module."""

    def __init__(self, port: int, process: Process, directory: Path) -> None:
        super().__init__(port, process)
        self._directory = directory

    @classmethod
    @contextmanager
    def running(cls, program: str, directory: Path, *, rate: int | None = None) -> Iterator[NginxStore]:
        """Serve; with a rate, each connection sends so many bytes a second."""
        port, top = free_port(), directory / f"nginx-{'open' if rate is None else 'capped'}"
        for name in ("objects/.pages", "bodies", "unused"):
            (top / name).mkdir(parents=True)
        (top / "objects/.pages/none").write_text(_page("any", "nothing/", {}, None))
        limit = "" if rate is None else f"limit_rate {rate};"
        (top / "nginx.conf").write_text(_CONFIGURATION.format(directory=top, port=port, limit=limit))
        process = Process([program, "-p", str(top), "-c", str(top / "nginx.conf")], directory / f"{top.name}.log")
        try:
            process.wait_until(lambda: listens(port))
            yield cls(port, process, top)
        finally:
            process.kill()

    def create(self, bucket: str) -> None:
        self._path(bucket).mkdir(parents=True)

    def delete(self, bucket: str) -> None:
        shutil.rmtree(self._path(bucket).parent)

    def listing(self, bucket: str) -> dict[str, int]:
        top = self._path(bucket)
        return {
            path.relative_to(top).as_posix(): path.stat().st_size
            for parent, _, names in os.walk(top)
            for path in (Path(parent, name) for name in names)
        }

    def stock(self, dataset: Dataset) -> tuple[str, Dataset]:
        """Link the files, and write the pages of their listing."""
        bucket = f"source-{dataset.name}"
        (self._directory / "objects" / bucket).mkdir()
        self._path(bucket).symlink_to(dataset.directory)
        pages = self._directory / "objects" / ".pages" / bucket
        pages.mkdir()
        names = sorted(dataset.sizes)
        for number, start in enumerate(range(0, len(names), _PAGE)):
            items = {PREFIX + name: dataset.sizes[name] for name in names[start : start + _PAGE]}
            following = number + 1 if start + _PAGE < len(names) else None
            (pages / f"page{number}").write_text(_page(bucket, PREFIX, items, following))
        return bucket, dataset

    def _path(self, bucket: str) -> Path:
        return self._directory / "objects" / bucket / PREFIX.rstrip("/")


def _page(bucket: str, prefix: str, items: dict[str, int], following: int | None) -> str:
    more = "" if following is None else f"<NextContinuationToken>{following}</NextContinuationToken>"
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;1&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key, size in items.items()
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult><Name>{bucket}</Name><Prefix>{prefix}</Prefix>'
        f"<KeyCount>{len(items)}</KeyCount><MaxKeys>{_PAGE}</MaxKeys><EncodingType>url</EncodingType>"
        f"<IsTruncated>{str(following is not None).lower()}</IsTruncated>{more}{contents}</ListBucketResult>"
    )


class OwnStore(CheapStore):
    """`benchmarks.cheap_s3`, which keeps sizes and forgets bytes."""

    @classmethod
    @contextmanager
    def running(cls, directory: Path, *, rate: int | None = None) -> Iterator[OwnStore]:
        """Serve; with a rate, each connection carries so many bytes a second."""
        log = directory / f"cheap-{'open' if rate is None else 'capped'}.log"
        limit = [] if rate is None else ["--rate", str(rate)]
        process = Process([sys.executable, "-m", "benchmarks.cheap_s3", *limit], log)
        try:
            process.wait_until(lambda: bool(log.read_text().strip()))
            yield cls(int(log.read_text()), process)
        finally:
            process.kill()

    def create(self, bucket: str) -> None:
        """A bucket exists when something is put there."""

    def delete(self, bucket: str) -> None:
        """Sizes stay: they are few bytes."""

    def listing(self, bucket: str) -> dict[str, int]:
        found: dict[str, int] = {}
        token: str | None = ""
        while token is not None:
            query = f"list-type=2&prefix={PREFIX}" + (f"&continuation-token={token}" if token else "")
            with urlopen(f"http://127.0.0.1:{self._port}/{bucket}?{query}") as answer:
                tree = ET.fromstring(answer.read())
            items = [(item.findtext("Key", ""), item.findtext("Size", "0")) for item in tree.iter("Contents")]
            found |= {key.removeprefix(PREFIX): int(size) for key, size in items}
            token = tree.findtext("NextContinuationToken")
        return found

    def stock(self, dataset: Dataset) -> tuple[str, Dataset]:
        """Tell the server the sizes; the bytes it sends are others."""
        bucket = f"source-{dataset.name}"
        sizes = {f"/{bucket}/{PREFIX}{name}": size for name, size in dataset.sizes.items()}
        with urlopen(f"http://127.0.0.1:{self._port}/?sizes", data=json.dumps(sizes).encode()):
            return bucket, dataclasses.replace(dataset, digests={})


class FarStore(Store):
    """Another store, reached through a relay: with a round trip in seconds, or with capped connections, or both."""

    def __init__(self, store: Any, directory: Path, round_trip: float, rate: float | None = None) -> None:
        self.provider = store.provider
        self._store = store
        self._directory = directory
        self._distance = round_trip, rate
        self._stack = ExitStack()
        self._relays: dict[int, Delay] = {}

    @classmethod
    @contextmanager
    def running(cls, store: Store, directory: Path, round_trip: float, rate: float | None = None) -> Iterator[FarStore]:
        """Relay to a store."""
        far = cls(store, directory, round_trip, rate)
        with far._stack:
            yield far

    def create(self, bucket: str) -> None:
        self._store.create(bucket)

    def delete(self, bucket: str) -> None:
        self._store.delete(bucket)

    def place(self, bucket: str) -> Place:
        place: Place = self._store.place(bucket)
        url = urlsplit(place.endpoint)
        assert url.port is not None
        if url.port not in self._relays:
            round_trip, rate = self._distance
            relay = Delay.running(url.port, round_trip, self._directory, rate=rate)
            self._relays[url.port] = self._stack.enter_context(relay)
        return dataclasses.replace(place, endpoint=self._relays[url.port].url + url.path)

    def listing(self, bucket: str) -> dict[str, int]:
        found: dict[str, int] = self._store.listing(bucket)
        return found

    def state(self, bucket: str) -> dict[str, Any]:
        """When what is below the prefix was stored."""
        found: dict[str, Any] = self._store.state(bucket)
        return found

    def processes(self) -> list[int]:
        found: list[int] = self._store.processes()
        return [*found, *(relay.pid for relay in self._relays.values())]
