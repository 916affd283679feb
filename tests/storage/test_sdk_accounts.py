"""Accounts that only the clouds' own SDKs are configured with, under the embedded hub, at real servers."""

from __future__ import annotations

import logging
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.exceptions import ConfigurationError
from tests.servers import Azurite, GCSServer, SeaweedFS

PAIR = ("you@example.com", "password")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that say nothing of any cloud."""
    return Settings(home=tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of five bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    return path


def kept_locally(settings: Settings) -> list[str]:
    """The files in local directories that take the place of clouds."""
    return [path.name for path in settings.storage_home.rglob("*") if path.is_file()]


def use_keys(monkeypatch: pytest.MonkeyPatch, server: SeaweedFS) -> None:
    """Keys and endpoint as variables of the SDK."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)


def use_profile(monkeypatch: pytest.MonkeyPatch, server: SeaweedFS, directory: Path) -> None:
    """A profile with keys, a service's endpoint and an addressing style, chosen by a variable."""
    _write(directory, "profile science", server)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(directory / "aws-config"))
    monkeypatch.setenv("AWS_PROFILE", "science")


def use_default_profile(monkeypatch: pytest.MonkeyPatch, server: SeaweedFS, directory: Path) -> None:
    """The default profile of a file, which no variable names."""
    _write(directory, "default", server)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(directory / "aws-config"))


def _write(directory: Path, section: str, server: SeaweedFS) -> None:
    (directory / "aws-config").write_text(
        f"[{section}]\naws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n"
        "services = local\ns3 =\n  addressing_style = path\n"
        f"[services local]\ns3 =\n  endpoint_url = {server.endpoint}\n"
    )


@pytest.mark.parametrize("how", ["keys", "profile", "default"])
async def test_s3_of_the_sdk(
    weed: SeaweedFS,
    settings: Settings,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    """The documented upload goes to the real service, says so once in the log and in each report; nothing is local."""
    bucket = weed.create_bucket(f"bucket-{uuid4().hex[:12]}")
    if how == "keys":
        use_keys(monkeypatch, weed)
        source = "AWS_ACCESS_KEY_ID"
    elif how == "profile":
        use_profile(monkeypatch, weed, file.parent)
        source = "AWS_PROFILE"
    else:
        use_default_profile(monkeypatch, weed, file.parent)
        source = str(file.parent / "aws-config")
    with caplog.at_level(logging.INFO, "dxflow_async.session"):
        async with AsyncSession(*PAIR, settings=settings) as session:
            storage = session.get_storage_manager()
            reports = [await storage.upload(file, f"/{bucket}/dir/", provider="AWS") for _ in range(2)]
            reports.append(await session.copy(f"aws:/{bucket}/dir/", f"aws:/{bucket}/copy/"))
    told = f"AWS is {weed.endpoint}: {source} configures it"
    assert [each.notices for each in reports] == [(told,)] * 3
    assert reports[0].to_dict()["notices"] == [told]
    assert [each for each in caplog.messages if source in each] == [told]
    assert weed.client.get_object(Bucket=bucket, Key="copy/file")["Body"].read() == b"bytes"
    assert kept_locally(settings) == []
    assert weed.secret_key not in caplog.text


async def test_azure_of_the_sdk(
    azurite: Azurite, container: str, settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of a connection string; the notice shows no key."""
    monkeypatch.setenv(
        "AZURE_STORAGE_CONNECTION_STRING",
        f"BlobEndpoint={azurite.endpoint};AccountName={azurite.account};AccountKey={azurite.account_key}",
    )
    async with AsyncSession(*PAIR, settings=settings) as session:
        report = await session.get_storage_manager().upload(file, f"/{container}/", provider="AZURE")
    assert [blob.name for blob in azurite.client.get_container_client(container).list_blobs()] == ["file"]
    assert kept_locally(settings) == []
    assert len(report.notices) == 1
    assert "AZURE_STORAGE_CONNECTION_STRING configures it" in report.notices[0]
    assert azurite.account_key not in report.notices[0]


async def test_google_of_the_sdk(
    gcs: GCSServer, gcs_bucket: str, settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of an emulator that Google's own variable names."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.endpoint)
    async with AsyncSession(*PAIR, settings=settings) as session:
        report = await session.get_storage_manager().upload(file, f"/{gcs_bucket}/", provider="gcp")
        assert await session.get_storage_manager().exists(f"/{gcs_bucket}/file", "GCP")
    assert report.notices == (f"GCP is {gcs.endpoint}: STORAGE_EMULATOR_HOST configures it",)
    assert kept_locally(settings) == []


async def test_the_sdk_may_be_left_out(
    weed: SeaweedFS, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `sdk_configuration = false` a local directory takes the place of what is not configured here."""
    use_keys(monkeypatch, weed)
    settings = Settings(home=tmp_path / "home", sdk_configuration=False)
    async with AsyncSession(*PAIR, settings=settings) as session:
        report = await session.get_storage_manager().upload(file, "/bucket/")
    assert report.notices == ()
    assert kept_locally(settings) == ["file"]


async def test_own_settings_win(
    weed: SeaweedFS, other_weed: SeaweedFS, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of ours name another service than the SDK's configuration does: they are used, and nothing is told."""
    from tests.sessions import settings_for

    use_keys(monkeypatch, other_weed)
    bucket = weed.create_bucket(f"bucket-{uuid4().hex[:12]}")
    async with AsyncSession(*PAIR, settings=settings_for(weed, tmp_path / "home")) as session:
        report = await session.get_storage_manager().upload(file, f"/{bucket}/")
    assert report.notices == ()
    assert weed.client.head_object(Bucket=bucket, Key="file")["ContentLength"] == 5


async def test_jobs_know_the_sdks_endpoint(
    weed: SeaweedFS, other_weed: SeaweedFS, settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was begun at one endpoint of the SDK's does not go on at another one."""
    bucket = weed.create_bucket(f"bucket-{uuid4().hex[:12]}")
    use_keys(monkeypatch, weed)
    missing, pairs = file.parent / "missing", [(str(file), f"/{bucket}/{number}") for number in range(3)]
    async with AsyncSession(settings=settings) as session:
        with pytest.raises(Exception, match="missing") as failed:
            await session.get_storage_manager().upload_many([*pairs, (str(missing), f"/{bucket}/missing")])
        job = failed.value.report.job_id  # type: ignore[attr-defined]
    missing.write_bytes(b"x")
    use_keys(monkeypatch, other_weed)
    async with AsyncSession(settings=settings) as session:
        with pytest.raises(ConfigurationError, match="the job was begun with AWS at") as raised:
            await session.resume(job)
    assert weed.endpoint in str(raised.value)
