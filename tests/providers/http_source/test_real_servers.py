"""Files and directories of nginx and of Python's own web server."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dxflow_async.exceptions import NotFoundError, UnsupportedError
from dxflow_async.providers.http_source.provider import HTTPSourceProvider
from tests.providers.in_memory_bodies import read
from tests.servers import Process, free_port

pytestmark = pytest.mark.server

DATA = os.urandom(300_000)
_NGINX = """daemon off; master_process off; worker_processes 1; pid {top}/pid; error_log stderr;
events {{}}
http {{
  access_log off; gzip on; gzip_types text/csv text/plain; default_type application/octet-stream;
  types {{ text/html html; text/csv csv; }}
  client_body_temp_path {top}/t1; proxy_temp_path {top}/t2; fastcgi_temp_path {top}/t3; uwsgi_temp_path {top}/t4;
  scgi_temp_path {top}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; autoindex on; }}
}}
"""


def _nginx(top: Path, root: Path, port: int) -> list[str]:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip("nginx is not installed")
    (top / "nginx.conf").write_text(_NGINX.format(top=top, root=root, port=port))
    return [found, "-p", str(top), "-c", str(top / "nginx.conf")]


def _python(_: Path, root: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(root)]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=[_nginx, _python], ids=["nginx", "http.server"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a small tree."""
    top = tmp_path_factory.mktemp("server")
    root, port = top / "root", free_port()
    (root / "data.d").mkdir(parents=True)
    (root / "data.d" / "f.csv").write_bytes(DATA)
    for name, data in (("a%20b ü.bin", DATA), ("empty", b""), ("notes.csv", b"1,2\n" * 5000)):
        (root / name).write_bytes(data)
    top.chmod(0o755)
    process = Process(request.param(top, root, port), top / "log")
    try:
        process.wait_until(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()


async def test_files(url: str, connect_source: Callable[..., HTTPSourceProvider]) -> None:
    """Files are read in whole and in part, whatever their names and sizes, and nothing is packed on the way."""
    source = connect_source(endpoint=url)
    for name, data in (("a%20b ü.bin", DATA), ("data.d/f.csv", DATA), ("empty", b""), ("notes.csv", b"1,2\n" * 5000)):
        assert (await source.stat(name)).size == len(data)
        assert await read(source, name) == data
    assert await read(source, "data.d/f.csv", 1000, 2000) == DATA[1000:2000]


async def test_directories(url: str, connect_source: Callable[..., HTTPSourceProvider]) -> None:
    """A directory's index is no file; a missing name is missing."""
    source = connect_source(endpoint=url)
    for look in (source.stat("data.d"), source.read("data.d"), source.read("data.d", 1, 5)):
        with pytest.raises(UnsupportedError, match="is a directory"):
            await look
    with pytest.raises(NotFoundError):
        await source.stat("missing")
