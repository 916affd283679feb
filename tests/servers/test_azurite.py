from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.storage.blob import BlobServiceClient

from tests.servers import Azurite
from tests.servers.azurite import npm_install


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One server for the tests of this module, with a container."""
    with Azurite.start(tmp_path_factory.mktemp("azurite"), tls=True) as running:
        running.create_container("container-one")
        yield running


def test_blob_comes_back(server: Azurite) -> None:
    """What was put is what is got; a block that was not committed is no blob."""
    server.client.get_blob_client("container-one", "a/b ü").upload_blob(b"content")
    assert server.client.get_blob_client("container-one", "a/b ü").download_blob().readall() == b"content"
    server.client.get_blob_client("container-one", "begun").stage_block("1", b"content")
    assert list(server.client.get_container_client("container-one").list_blob_names()) == ["a/b ü"]
    assert server.uncommitted("container-one") == ["begun"]


def test_wrong_key_is_refused(server: Azurite) -> None:
    """Signatures are checked: another key is no access."""
    wrong = base64.b64encode(b"wrong").decode()
    with closing(server.new_client(account_key=wrong)) as client, pytest.raises(ClientAuthenticationError):
        client.create_container("container-two")


def test_certificate_is_verified_with_its_bundle_only(server: Azurite) -> None:
    """The TLS endpoint is trusted with `ca_bundle` and not without."""
    with (
        closing(BlobServiceClient(server.endpoint, retry_total=0)) as client,
        pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get_account_information()


def test_nothing_listens_after_stop(tmp_path: Path) -> None:
    """After `stop()` the port is free, and a second server does not know the first one's containers."""
    server = Azurite.start(tmp_path / "one")
    server.create_container("container-one")
    with Azurite.start(tmp_path / "two") as other:
        assert list(other.client.list_containers()) == []
    server.stop()
    url = urlsplit(server.endpoint)
    with socket.socket() as probe:
        assert probe.connect_ex((url.hostname, url.port)) != 0


def test_what_is_installed_stays() -> None:
    """Npm's packages are put into the ignored cache folder, once."""
    place = npm_install("azurite", "3.37.0")
    before = place.stat().st_mtime_ns
    assert npm_install("azurite", "3.37.0").stat().st_mtime_ns == before
    assert place.parent.parent.name == ".cache"
