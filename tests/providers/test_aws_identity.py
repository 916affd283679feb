"""Whose signature a request carries."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dxflow_async.config import AWSSettings
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError
from dxflow_async.providers.aws import AWSProvider
from dxflow_async.providers.base import ObjectOptions
from dxflow_async.providers.http import HTTP
from dxflow_async.providers.threads import Threads
from tests.providers.bodies import body
from tests.providers.conftest import Connect
from tests.providers.scripted import ScriptedServer, answer

OPTIONS = ObjectOptions()


class Program:
    """What the profile `science` gets its credentials from; it counts its runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def says(self, data: dict[str, object]) -> None:
        """Gives credentials."""
        self._write(f"print({json.dumps(data)!r})")

    def fails(self, text: str) -> None:
        """Ends with an error."""
        self._write(f"raise SystemExit({text!r})")

    @property
    def runs(self) -> int:
        """How often it was run."""
        return len(self._path.with_suffix(".runs").read_text())

    def _write(self, line: str) -> None:
        self._path.write_text(f"open({str(self._path.with_suffix('.runs'))!r}, 'a').write('x')\n{line}\n")


async def test_session_token(connect: Connect) -> None:
    """Temporary credentials send their token, signed."""
    async with ScriptedServer(answer(ETag='"1"')) as server:
        await connect(server.url, session_token="token/+=").stat("bucket/name")
    headers = server.requests[0].headers
    assert headers["x-amz-security-token"] == "token/+="
    assert "x-amz-security-token" in headers["authorization"].split("SignedHeaders=")[1].split(",")[0]


async def test_signed_payload(connect: Connect) -> None:
    """With `sign_payload` the hash of the body is sent, whatever kind of body it is."""
    async with ScriptedServer(answer(ETag='"1"')) as server:
        aws = connect(server.url, sign_payload=True)
        for data in (body(b"by", b"tes"), body(b"")):
            await aws.write("bucket/name", data, OPTIONS)
        await aws.stat("bucket/name")
    sent = [request.headers["x-amz-content-sha256"] for request in server.requests]
    assert sent == [hashlib.sha256(data).hexdigest() for data in (b"bytes", b"", b"")]


async def test_rotating_credentials(http: HTTP, threads: Threads) -> None:
    """Credentials are asked for anew with every request, so that the SDK can change them."""

    class Chain:
        count = 0

        async def get_frozen_credentials(self) -> SimpleNamespace:
            self.count += 1
            return SimpleNamespace(access_key=f"AKID{self.count}", secret_key="x", token=f"t{self.count}")

    async with ScriptedServer(answer(ETag='"1"')) as server:
        aws = AWSProvider(AWSSettings(endpoint=server.url, region="us-east-1"), http, threads)
        aws._identity._chain = Chain()
        for _ in range(3):
            await aws.stat("bucket/name")
    used = [(each.headers["authorization"], each.headers["x-amz-security-token"]) for each in server.requests]
    assert all(f"Credential=AKID{n}/" in header and token == f"t{n}" for n, (header, token) in enumerate(used, 1))


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The SDK's configuration, with a profile."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    program = tmp_path / "credentials.py"
    config = f"[profile science]\nregion = eu-west-3\ncredential_process = {sys.executable} {program}\n"
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return Program(program)


async def test_profile(profile: Program, http: HTTP, threads: Threads) -> None:
    """The SDK's chain is used: a profile's program gives the credentials, once for many requests at a time."""
    said = {"Version": 1, "AccessKeyId": "AKIDPROCESS", "SecretAccessKey": "x", "Expiration": "2999-01-01T00:00:00Z"}
    profile.says(said)
    async with ScriptedServer(answer(ETag='"1"')) as server:
        aws = AWSProvider(AWSSettings(endpoint=server.url, profile="science"), http, threads)
        await asyncio.gather(*(aws.stat(f"bucket/{number}") for number in range(10)))
    assert all("Credential=AKIDPROCESS/" in each.headers["authorization"] for each in server.requests)
    assert all("/eu-west-3/" in each.headers["authorization"] for each in server.requests)
    assert profile.runs == 1


async def test_credentials_that_cannot_be_had(profile: Program, http: HTTP, threads: Threads) -> None:
    """What the SDK fails with is one of our errors, and so is a profile that is not there, and no credentials."""
    profile.fails("please sign in")
    aws = AWSProvider(AWSSettings(endpoint="http://127.0.0.1:9", profile="science"), http, threads)
    with pytest.raises(AccessDeniedError, match="please sign in"):
        await aws.stat("bucket/name")
    aws = AWSProvider(AWSSettings(endpoint="http://127.0.0.1:9", profile="nobody"), http, threads)
    with pytest.raises(ConfigurationError, match="nobody"):
        await aws.stat("bucket/name")
    aws = AWSProvider(AWSSettings(endpoint="http://127.0.0.1:9"), http, threads)
    with pytest.raises(ConfigurationError, match="no AWS credentials were found"):
        await aws.stat("bucket/name")


async def test_presign_that_is_too_long(aws: AWSProvider) -> None:
    """S3 allows a week."""
    for expires in (0, 604_801):
        with pytest.raises(ConfigurationError, match="604800"):
            await aws.presign("bucket/name", expires)
