"""Settings of S3 take effect in every request: who pays, which checksums are used, and where requests go."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.http import HTTP
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_round import open_session, play
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE, aws_settings

CHECKSUMS = ("x-amz-checksum-crc32c", "x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm")


def announced(server: S3Server) -> set[str]:
    """Returns the operations whose requests had or asked for checksums on their way there."""
    return {each.operation for each in server.requests if any(name in each.headers for name in CHECKSUMS)}


def requested(server: S3Server) -> set[str]:
    """Returns the operations that asked for an object's checksum."""
    return {each.operation for each in server.requests if "x-amz-checksum-mode" in each.headers}


async def test_presigned_url_of_a_bucket_whose_readers_pay(tmp_path: Path, threads: Threads) -> None:
    """The agreement to pay is a signed part of the URL."""
    async with S3Server(Quirks(requester_pays=True)) as server, open_session(server, tmp_path) as session:
        server.store("name", b"bytes")
        url = await session.get_storage_manager().presign("/bucket/name")

        def read() -> bytes:
            with urlopen(url) as response:
                return bytes(response.read())

        assert await threads.run(read) == b"bytes"


async def test_advice_where_readers_pay(tmp_path: Path) -> None:
    """The error of a bucket that demands the agreement names the setting."""
    async with (
        S3Server(Quirks(requester_pays=True)) as server,
        open_session(server, tmp_path, requester_pays=False) as session,
    ):
        server.store("name", b"bytes")
        with pytest.raises(AccessDeniedError, match=r"AWS\.requester_pays = true"):
            await session.get_storage_manager().stat("/bucket/name")


@pytest.mark.parametrize("source", ["settings", "environment", "profile", "default"])
async def test_checksums_when_required(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`when_required` sends no CRC32C and asks for none: bodies have a Content-MD5, and everything else works."""
    names = ("request_checksum_calculation", "response_checksum_validation")
    options: dict[str, Any] = {}
    if source == "settings":
        options = dict.fromkeys(names, "when_required")
    if source == "environment":
        for name in names:
            monkeypatch.setenv(f"AWS_{name.upper()}", "WHEN_REQUIRED")
    if source == "profile":
        config = tmp_path / "config"
        config.write_text("[profile careful]\n" + "".join(f"{name} = when_required\n" for name in names))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_PROFILE", "careful")
    async with S3Server(min_part_size=PART_SIZE) as server:
        if source == "profile":
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
            options |= {"access_key": None, "secret_key": None}
        async with open_session(server, tmp_path / "home", **options) as session:
            await play(session, server, tmp_path, "round")
        if source == "default":
            assert {"PutObject", "UploadPart", "CreateMultipartUpload"} <= announced(server)
            assert {"GetObject", "HeadObject"} <= requested(server)
            return
        assert announced(server) == requested(server) == set()
        written = [each for each in server.requests if each.operation in ("PutObject", "UploadPart")]
        assert all("content-md5" in each.headers for each in written)


async def test_checksums_of_answers_that_are_not_compared(tmp_path: Path) -> None:
    """`when_required` reads an object whose reported checksum is wrong; otherwise that is an error."""
    async with S3Server() as server:
        server.store("name", b"bytes", checksums={"crc32c": "AAAAAA=="})
        async with open_session(server, tmp_path, response_checksum_validation="when_required") as session:
            read = session.get_storage_manager().read("/bucket/name")
            assert b"".join([chunk async for chunk in read]) == b"bytes"
            assert (await session.get_storage_manager().stat("/bucket/name")).size == 5


async def test_unknown_checksum_settings(monkeypatch: pytest.MonkeyPatch, http: HTTP, threads: Threads) -> None:
    """A value that is neither of the two is an error that names its place, before any request."""
    with pytest.raises(ConfigurationError, match=r"AWS\.response_checksum_validation.*when_supported or when_required"):
        AWSSettings(response_checksum_validation="never")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "never")
    async with S3Server() as server:
        with pytest.raises(ConfigurationError, match=r"AWS_REQUEST_CHECKSUM_CALCULATION.*when_supported"):
            await AWSProvider(aws_settings(server), http, threads).stat("bucket/name")
        assert server.requests == []


@pytest.mark.parametrize("source", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "profile", "services"])
async def test_endpoint_of_the_sdks_configuration(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, http: HTTP, threads: Threads
) -> None:
    """What holds for services other than Amazon's holds for an endpoint that the SDK's configuration names."""
    async with S3Server() as server:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        if source.startswith("AWS"):
            monkeypatch.setenv(source, server.endpoint)
        else:
            line = f"endpoint_url = {server.endpoint}\n"
            text = line if source == "profile" else f"services = other\n[services other]\ns3 =\n  {line}"
            (tmp_path / "config").write_text(f"[default]\n{text}")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        provider = AWSProvider(AWSSettings(), http, threads)
        await provider.connect()
        assert provider.features.varied_parts_doubtful
        assert provider.features.endpoint == server.endpoint.removeprefix("http://")
        assert server.requests == []
        await provider.stat("bucket/")


async def test_amazons_own_endpoint(http: HTTP, threads: Threads) -> None:
    """Without an endpoint of the configuration's, Amazon's own takes parts of all sizes."""
    provider = AWSProvider(AWSSettings(region="eu-central-1", access_key="a", secret_key="b"), http, threads)
    await provider.connect()
    assert not provider.features.varied_parts_doubtful
    assert provider.features.endpoint == "s3.amazonaws.com"


async def test_a_session_connects_before_it_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first stream of a session is cut by what is known of the endpoint that it goes to."""
    async with S3Server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        aws = AWSSettings(access_key=server.access_key, secret_key=server.secret_key)
        async with AsyncSession(settings=Settings(home=tmp_path, aws=aws)) as session:
            area = await session._resolver.area("AWS")
            assert area.provider.features.varied_parts_doubtful
