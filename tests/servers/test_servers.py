from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.servers import MotoServer, Process, SeaweedFS, ServerStartError, free_port, program


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """One server for the tests of this module, with a bucket."""
    with SeaweedFS.start(tmp_path_factory.mktemp("weed"), tls=True) as running:
        running.create_bucket("bucket-one")
        yield running


def _status(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def _can_connect(endpoint: str) -> bool:
    url = urlsplit(endpoint)
    with socket.socket() as probe:
        return probe.connect_ex((url.hostname, url.port)) == 0


def test_object_comes_back(server: SeaweedFS) -> None:
    """What was put is what is got."""
    server.client.put_object(Bucket="bucket-one", Key="a/b ü", Body=b"content")
    with closing(server.client.get_object(Bucket="bucket-one", Key="a/b ü")["Body"]) as body:
        assert body.read() == b"content"


def test_wrong_secret_is_refused(server: SeaweedFS) -> None:
    """Signatures are checked: another secret is a 403."""
    with closing(server.new_client(secret_key="wrong")) as client, pytest.raises(ClientError) as error:
        client.list_objects_v2(Bucket="bucket-one")
    assert _status(error) == (403, "SignatureDoesNotMatch")


def test_wrong_checksum_is_refused(server: SeaweedFS) -> None:
    """Checksums are checked: a CRC32C of other bytes is a 400, and no object appears."""
    wrong = base64.b64encode(b"\0\0\0\1").decode()
    with pytest.raises(ClientError) as error:
        server.client.put_object(Bucket="bucket-one", Key="wrong", Body=b"content", ChecksumCRC32C=wrong)
    assert _status(error) == (400, "BadDigest")
    assert "Contents" not in server.client.list_objects_v2(Bucket="bucket-one", Prefix="wrong")


def test_missing_bucket_is_not_made(server: SeaweedFS) -> None:
    """A put into a bucket that is not there fails, as with Amazon."""
    with pytest.raises(ClientError) as error:
        server.client.put_object(Bucket="bucket-none", Key="x", Body=b"content")
    assert _status(error) == (404, "NoSuchBucket")


def test_removed_bucket_takes_its_objects_along(server: SeaweedFS) -> None:
    """A bucket is removed with what is in it."""
    server.client.put_object(Bucket=server.create_bucket("bucket-two"), Key="x", Body=b"content")
    server.delete_bucket("bucket-two")
    with pytest.raises(ClientError) as error:
        server.client.list_objects_v2(Bucket="bucket-two")
    assert _status(error) == (404, "NoSuchBucket")


def test_certificate_is_verified_with_its_bundle_only(server: SeaweedFS) -> None:
    """The TLS endpoint is trusted with `ca_bundle` and not without."""
    url = urlsplit(server.endpoint)
    assert url.scheme == "https"
    assert server.answers("/healthz")
    with (
        socket.create_connection((url.hostname, url.port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname=url.hostname)


def test_nothing_listens_after_stop(tmp_path: Path) -> None:
    """After `stop()` both endpoints' ports are free."""
    server = SeaweedFS.start(tmp_path, tls=True)
    endpoints = server.endpoint, server.http_endpoint
    assert all(_can_connect(endpoint) for endpoint in endpoints)
    server.stop()
    assert not any(_can_connect(endpoint) for endpoint in endpoints)


def test_two_servers_do_not_meet(server: SeaweedFS, tmp_path: Path) -> None:
    """Each server has ports, buckets and credentials of its own."""
    with SeaweedFS.start(tmp_path) as other:
        assert other.client.list_buckets()["Buckets"] == []
        with closing(server.new_client(secret_key=other.secret_key)) as client, pytest.raises(ClientError):
            client.list_buckets()


@pytest.mark.server
def test_program_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    """A server that does not start is an error that shows what it said."""
    process = Process([program("weed"), "no-such-command"], tmp_path / "log")
    with pytest.raises(ServerStartError, match="unknown subcommand"):
        process.wait_until(lambda: False)
    process.kill()


def test_port_is_free_with_its_companion() -> None:
    """A port is handed out only when the one `offset` above is free as well."""
    port = free_port(offset=10_000)
    for each in (port, port + 10_000):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", each))


def test_moto_keeps_odd_keys(tmp_path: Path) -> None:
    """The moto server keeps keys that SeaweedFS folds."""
    with MotoServer.start(tmp_path) as server:
        server.create_bucket("bucket-one")
        for key in ("a//b", "trail/"):
            server.client.put_object(Bucket="bucket-one", Key=key, Body=b"content")
        found = server.client.list_objects_v2(Bucket="bucket-one")["Contents"]
        assert [item["Key"] for item in found] == ["a//b", "trail/"]
