"""The options of one S3 remote, and --direct."""

from __future__ import annotations

import pytest

from tests.cli.called_command import Command
from tests.servers.weed import SeaweedFS


@pytest.fixture
def keys(configured: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> SeaweedFS:
    """A server whose endpoint is not configured, and the keys of it in the variables of the SDK."""
    monkeypatch.delenv("DXFLOW_AWS_ENDPOINT")
    monkeypatch.delenv("DXFLOW_AWS_ACCESS_KEY")
    monkeypatch.delenv("DXFLOW_AWS_SECRET_KEY")
    for name, value in {
        "AWS_ACCESS_KEY_ID": configured.access_key,
        "AWS_SECRET_ACCESS_KEY": configured.secret_key,
        "AWS_REGION": configured.region,
        "AWS_CONFIG_FILE": "aws-config",
        "AWS_SHARED_CREDENTIALS_FILE": "aws-credentials",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return configured


def test_the_endpoint_of_one_command(command: Command, keys: SeaweedFS) -> None:
    """Every command with a place takes it, whichever way the place is written."""
    bucket = keys.create_bucket("flags")
    options = ("--direct", "--endpoint", keys.endpoint)
    with open("a.txt", "w", encoding="utf-8") as file:
        file.write("hello")
    assert command("cp", "a.txt", f"s3://{bucket}/a.txt", *options).status == 0
    assert command("cat", f"aws:/{bucket}/a.txt", *options).stdout == "hello"
    for name in ("ls", "du", "stat", "tail", "presign", "rm"):
        assert command(name, f"s3://{bucket}/a.txt", *options).status == 0, name
    assert command("ls", f"s3://{bucket}/a.txt", *options).status == 3


def test_a_profile_and_no_signature(command: Command, keys: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile takes the place of keys; unsigned requests are refused where a signature is needed."""
    bucket = keys.create_bucket("profiles")
    with open("aws-credentials", "w", encoding="utf-8") as file:
        file.write(f"[mine]\naws_access_key_id = {keys.access_key}\naws_secret_access_key = {keys.secret_key}\n")
    monkeypatch.setenv("DXFLOW_AWS_ACCESS_KEY", "wrong")
    monkeypatch.setenv("DXFLOW_AWS_SECRET_KEY", "wrong")
    options = ("--endpoint", keys.endpoint)
    assert command("ls", f"aws:/{bucket}/", *options).status == 4
    assert command("ls", f"aws:/{bucket}/", *options, "--profile", "mine").status == 0
    assert command("ls", f"aws:/{bucket}/", *options, "--anonymous").status == 4


def test_which_remote_is_meant(command: Command, keys: SeaweedFS) -> None:
    """Without an S3 remote in the command, or with two, nothing is done."""
    assert command("remotes", "add", "minio", "--type", "s3", "--endpoint", "http://127.0.0.1:9").status == 0
    outcome = command("ls", ".", "--endpoint", keys.endpoint)
    assert (outcome.status, "there is no S3 remote" in outcome.stderr) == (2, True)
    outcome = command("cp", "aws:/a/b", "minio:/a/", "--endpoint", keys.endpoint)
    assert (outcome.status, "aws or minio" in outcome.stderr, "remotes add" in outcome.stderr) == (2, True, True)
    outcome = command("ls", "aws:/a/", "--direct", "--email", "you@example.com")
    assert (outcome.status, "--direct uses no account" in outcome.stderr) == (2, True)
    bucket = keys.create_bucket("named")
    assert command("ls", f"minio:/{bucket}/", "--endpoint", keys.endpoint).status == 0
