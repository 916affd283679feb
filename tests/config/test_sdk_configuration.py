"""The configuration of the clouds' own SDKs, as this program reads it without them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AzureSettings, GCSSettings, S3Settings
from dxflow_async.config.azure_environment import azure_account
from dxflow_async.config.sdk_configuration import aws_bundles, configured_by, with_sdk_configuration
from dxflow_async.exceptions import ConfigurationError

CONFIG = """
[default]
region = eu-central-1

[profile lab]
endpoint_url = https://profile.example.org
ca_bundle = /etc/lab.pem
services = lab-services
s3 =
  max_queue_size = 10
  addressing_style = path

[profile "two words"]
endpoint_url = https://words.example.org

[services lab-services]
ec2 =
  endpoint_url = https://ec2.example.org
s3 =
  endpoint_url = https://services.example.org
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose files are the test's own."""
    (tmp_path / "config").write_text(CONFIG)
    return {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
    }


@pytest.mark.parametrize(
    "variable",
    [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ],
)
def test_variables_that_name_an_aws_account(environ: dict[str, str], variable: str) -> None:
    """Each of them is named, and an empty one is as good as none."""
    assert configured_by(S3Settings(), {**environ, variable: "x"}) == variable
    assert configured_by(S3Settings(), {**environ, variable: ""}) is None


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE", "AWS_EC2_METADATA_DISABLED"])
def test_variables_that_name_no_account(environ: dict[str, str], variable: str) -> None:
    """A region, or who is trusted, says nothing about whose storage is meant."""
    assert configured_by(S3Settings(), {**environ, variable: "x"}) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("credentials", "[default]\naws_access_key_id = AK\naws_secret_access_key = SK\n"),
        ("config", "[default]\nsso_session = lab\n"),
        ("config", "[profile default]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = other\n"),
        ("config", "[default]\nendpoint_url = https://example.org\n"),
    ],
)
def test_a_default_profile_names_an_account(environ: dict[str, str], tmp_path: Path, name: str, text: str) -> None:
    """The file is named; a default profile with a region only, and other profiles, are not used unless asked for."""
    assert configured_by(S3Settings(), environ) is None
    (tmp_path / name).write_text(text)
    assert configured_by(S3Settings(), environ) == str(tmp_path / name)


def test_azure_and_google_accounts(environ: dict[str, str], tmp_path: Path) -> None:
    """Azure's account or connection string, Google's key file, emulator or stored login; a key alone is no account."""
    azure, gcs = AzureSettings(), GCSSettings()
    for variable in ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING"):
        assert configured_by(azure, {**environ, variable: "x"}) == variable
    for variable in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        assert configured_by(gcs, {**environ, variable: "x"}) == variable
    assert configured_by(azure, {**environ, "AZURE_STORAGE_KEY": "x", "AZURE_STORAGE_SAS_TOKEN": "x"}) is None
    assert configured_by(gcs, {**environ, "GOOGLE_CLOUD_PROJECT": "x"}) is None
    (tmp_path / "gcloud").mkdir()
    stored = tmp_path / "gcloud" / "application_default_credentials.json"
    stored.write_text("{}")
    assert configured_by(gcs, environ) == str(stored)


def test_endpoints_in_botocores_order(environ: dict[str, str]) -> None:
    """Of all that name an endpoint the same one is taken as botocore takes."""
    import botocore.session  # the reference

    sources = {
        "AWS_ENDPOINT_URL_S3": "https://s3.example.org",
        "AWS_ENDPOINT_URL": "https://all.example.org",
        "AWS_PROFILE": "lab",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    }
    for count in range(len(sources) + 1):
        for names in itertools.combinations(sources, count):
            environment = {**environ, **{name: sources[name] for name in names}}
            ours = with_sdk_configuration(S3Settings(), environment)
            with pytest.MonkeyPatch.context() as patch:
                for name in sources:
                    patch.delenv(name, raising=False)
                for name, value in environment.items():
                    patch.setenv(name, value)
                session = botocore.session.Session()
                keys: dict[str, Any] = {"aws_access_key_id": "AK", "aws_secret_access_key": "SK"}
                client = session.create_client("s3", region_name="us-east-1", **keys)
                theirs = client.meta.endpoint_url
                client.close()
            assert (ours.endpoint or "https://s3.amazonaws.com") == theirs.replace("s3.us-east-1.", "s3."), names
            assert ours.addressing == ("path" if "AWS_PROFILE" in names else "auto")


def test_bundles_of_profiles(environ: dict[str, str], tmp_path: Path) -> None:
    """A bundle counts if its profile is used by a remote of S3; a file that is not valid names none."""
    lab = (f"ca_bundle of the profile lab in {tmp_path / 'config'}", Path("/etc/lab.pem"))
    assert aws_bundles([S3Settings(), AzureSettings()], environ) == []
    assert aws_bundles([S3Settings(profile="lab"), S3Settings(profile="two words")], environ) == [lab]
    assert aws_bundles([S3Settings()], {**environ, "AWS_PROFILE": "lab"}) == [lab]
    assert aws_bundles([AzureSettings()], {**environ, "AWS_PROFILE": "lab"}) == []
    (tmp_path / "config").write_text("[profile lab\n")
    assert aws_bundles([S3Settings(profile="lab")], environ) == []


def test_a_profile_of_the_settings_wins(environ: dict[str, str]) -> None:
    """It is that profile's endpoint; what the settings say themselves stays."""
    environ["AWS_PROFILE"] = "lab"
    words = with_sdk_configuration(S3Settings(profile="two words"), environ)
    assert words == S3Settings(profile="two words", endpoint="https://words.example.org")
    own = S3Settings(endpoint="https://own.example.org", addressing="virtual")
    assert with_sdk_configuration(own, environ) is own
    assert with_sdk_configuration(S3Settings(addressing="virtual"), environ).addressing == "virtual"


def test_azures_variables_are_an_account() -> None:
    """They count where the settings name no account; the key of an account that is not named is not used."""
    environ = {"AZURE_STORAGE_ACCOUNT": "science", "AZURE_STORAGE_KEY": "a2V5"}
    assert with_sdk_configuration(AzureSettings(), environ) == AzureSettings(account="science", account_key="a2V5")
    own = AzureSettings(account="own", account_key="a2V5")
    assert azure_account(own, environ) is own
    assert azure_account(AzureSettings(), {"AZURE_STORAGE_KEY": "a2V5"}) == AzureSettings()


@pytest.mark.parametrize("text", ["no section", "[default\nx", "[default]\n\x00 = \udcff"])
def test_files_that_are_not_valid(environ: dict[str, str], tmp_path: Path, text: str) -> None:
    """A broken file is an error that names it and shows nothing of it."""
    (tmp_path / "credentials").write_bytes(f"{text} SECRET".encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match="is not a valid configuration file of the AWS SDK") as raised:
        configured_by(S3Settings(), environ)
    assert str(tmp_path / "credentials") in str(raised.value)
    assert "SECRET" not in str(raised.value)


def test_an_endpoint_that_is_not_valid_names_its_source(environ: dict[str, str]) -> None:
    """The variable is in the error, and a password in the URL is not."""
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL_S3") as raised:
        with_sdk_configuration(S3Settings(), {**environ, "AWS_ENDPOINT_URL_S3": "https://me:SECRET@host"})
    assert "SECRET" not in str(raised.value)
