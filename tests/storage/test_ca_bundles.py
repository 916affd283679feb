"""A private authority of an S3 service: the SDK's variables and profiles name it, over real TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, ConfigurationError, NetworkError, S3Settings, Settings
from tests.providers.http_source.file_server import FileServer
from tests.servers.certificate import make_certificate

LISTING = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix></Prefix>
<IsTruncated>false</IsTruncated><Contents><Key>name</Key><Size>5</Size><ETag>"1"</ETag>
<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"""


@pytest.fixture
async def server(certified: tuple[ssl.SSLContext, Path]) -> AsyncIterator[FileServer]:
    """A bucket with one object behind TLS, with a certificate of a private authority."""
    async with FileServer(certified[0]) as server:
        server.put("/bucket/", LISTING, headers={"Content-Type": "application/xml"})
        yield server


@pytest.fixture(autouse=True)
def no_bundles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leaves nothing of this machine's configuration of the SDK."""
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


async def names(url: str, home: Path) -> list[str]:
    """The objects in the bucket, of a session of its own."""
    aws = S3Settings(endpoint=url, access_key="AKIDEXAMPLE", secret_key="secret", region="eu-west-3")
    async with AsyncSession(settings=Settings(home=home, aws=aws, max_attempts=1)) as session:
        return [item.name for item in await session.get_storage_manager().list("AWS", "/bucket/")]


@pytest.mark.parametrize("source", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "[default]", "[profile lab]"])
async def test_a_bundle_of_the_sdk_is_trusted(
    server: FileServer,
    certified: tuple[ssl.SSLContext, Path],
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The service is reached with each variable and profile that names its authority."""
    if source.startswith("["):
        (tmp_path / "config").write_text(f"{source}\nca_bundle = {certified[1]}\n")
        monkeypatch.setenv("AWS_PROFILE", source.strip("[]").split()[-1])
    else:
        monkeypatch.setenv(source, str(certified[1]))
    assert await names(server.url, tmp_path / "home") == ["name"]


async def test_a_bundle_that_is_not_there(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path is an error of the configuration that names the variable and the path, before any request."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "gone.pem"))
    with pytest.raises(ConfigurationError, match=r"AWS_CA_BUNDLE = '.*/gone\.pem'"):
        await names(server.url, tmp_path / "home")
    assert not server.seen


@pytest.mark.parametrize("other", [False, True])
async def test_an_authority_that_nothing_names(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, other: bool
) -> None:
    """Without a bundle, and with that of somebody else, the error is about the certificate and says what to set."""
    if other:
        (tmp_path / "other").mkdir()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(make_certificate(tmp_path / "other", "Another authority")[2]))
    with pytest.raises(NetworkError, match=r"certificate.*ca_bundle"):
        await names(server.url, tmp_path / "home")
    assert not server.seen
