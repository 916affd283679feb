"""Whose signature a request carries."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError
from dxflow_async.providers.aws.provider import AWSProvider
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.http import HTTP
from tests.providers.aws.token_gate import TokenGate
from tests.providers.connected_providers import Connect
from tests.providers.in_memory_bodies import body
from tests.scripted_server import ScriptedServer, answer
from tests.servers import SeaweedFS

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
    async with ScriptedServer(answer(x_amz_request_id="1", ETag='"1"')) as server:
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
        aws.requests.identity._chain = Chain()
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


async def test_token_that_ends_before_its_time(profile: Program, http: HTTP, threads: Threads) -> None:
    """What the service takes no more is renewed, once for many requests at a time; HEAD is not told why."""
    said = {"Version": 1, "AccessKeyId": "AKID1", "SecretAccessKey": "x", "SessionToken": "1"}
    profile.says({**said, "Expiration": "2999-01-01T00:00:00Z"})
    expired = answer("400 Bad Request", b"<Error><Code>ExpiredToken</Code></Error>")
    async with ScriptedServer(answer(ETag='"1"'), *[answer("400 Bad Request")] * 10, answer(ETag='"1"')) as server:
        aws = AWSProvider(AWSSettings(endpoint=server.url, profile="science"), http, threads)
        await aws.stat("bucket/name")
        profile.says({**said, "SessionToken": "2", "Expiration": "2999-01-01T00:00:00Z"})
        await asyncio.gather(*(aws.stat(f"bucket/{number}") for number in range(10)))
    tokens = [each.headers["x-amz-security-token"] for each in server.requests]
    assert (tokens, profile.runs) == (["1"] * 11 + ["2"] * 10, 2)
    async with ScriptedServer(expired) as server:
        aws = AWSProvider(AWSSettings(endpoint=server.url, profile="science"), http, threads)
        with pytest.raises(AccessDeniedError, match="sign in to AWS again"):
            await aws.read("bucket/name")
    assert (len(server.requests), profile.runs) == (1, 4), "the same token is not sent twice"


async def test_token_that_ends_in_mid_transfer(profile: Program, weed: SeaweedFS, prefix: str, tmp_path: Path) -> None:
    """A transfer in parts goes on with the new token, both ways, and nothing of it counts as a retry."""
    said = {"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "secret"}
    ended = passed = 0
    data = random.Random(1).randbytes(41 << 20)
    (tmp_path / "large").write_bytes(data)

    def begin() -> None:
        profile.says({**said, "SessionToken": f"token-{ended}", "Expiration": "2999-01-01T00:00:00Z"})

    def is_good(token: str) -> bool:
        nonlocal ended, passed
        good = token == f"token-{ended}"
        passed += good
        if good and passed % 8 == 0 and ended < 5:
            ended += 1
            begin()
        return good

    begin()
    async with TokenGate(weed, is_good) as gate:
        aws = AWSSettings(endpoint=gate.url, profile="science")
        async with AsyncSession(settings=Settings(home=tmp_path / "home", part_size=5 << 20, aws=aws)) as session:
            storage = session.get_storage_manager()
            up = await storage.upload(tmp_path / "large", f"/{prefix}large")
            ended_up = ended
            down = await storage.download(f"/{prefix}large", tmp_path / "back")
    assert (tmp_path / "back" / "large").read_bytes() == data
    assert 0 < ended_up < ended
    assert (up.retries, down.retries, up.verified, down.verified) == (0, 0, 1, 1)
    assert profile.runs == ended + 1


async def test_credentials_that_cannot_be_had(profile: Program, http: HTTP, threads: Threads) -> None:
    """What the SDK fails with is one of our errors, and so is a profile that is not there, and no credentials."""
    profile.fails("please sign in")
    aws = AWSProvider(AWSSettings(endpoint="http://127.0.0.1:9", profile="science"), http, threads)
    with pytest.raises(AccessDeniedError, match="please sign in"):
        await aws.stat("bucket/name")
    profile.says({"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "x", "Expiration": "2001-01-01T00:00:00Z"})
    with pytest.raises(AccessDeniedError, match="still expired"):
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


@pytest.mark.usefixtures("profile")
async def test_identity_of_a_machine(http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine at AWS the SDK's chain asks the machine's metadata service, with a token of its own.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
    """
    given = {"Code": "Success", "AccessKeyId": "AKIDMACHINE", "SecretAccessKey": "x", "Token": "machine"}
    given |= {"Expiration": "2999-01-01T00:00:00Z"}
    answers = (b"metadata-token", b"the-role", json.dumps(given).encode())
    async with (
        ScriptedServer(*(answer(body=each) for each in answers)) as metadata,
        ScriptedServer(answer(ETag='"1"')) as server,
    ):
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        await AWSProvider(AWSSettings(endpoint=server.url, region="eu-west-3"), http, threads).stat("bucket/name")
    sent = server.requests[0].headers
    assert "Credential=AKIDMACHINE/" in sent["authorization"]
    assert sent["x-amz-security-token"] == "machine"
    assert metadata.requests[-1].headers["x-aws-ec2-metadata-token"] == "metadata-token"


@pytest.mark.usefixtures("profile")
async def test_identity_of_a_sign_in(
    http: HTTP, threads: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has signed in with `aws sso login` gets a role's credentials for that, by the SDK's chain.

    Source: https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html
    """
    start = "https://science.example.com/start"
    settings = ("region = eu-west-3", f"sso_start_url = {start}", "sso_region = eu-west-3", "sso_role_name = reader")
    (tmp_path / "config").write_text("\n".join(("[profile science]", *settings, "sso_account_id = 123456789012")))
    signed_in = {"startUrl": start, "region": "eu-west-3", "accessToken": "sign-in"}
    name = hashlib.sha1(start.encode(), usedforsecurity=False).hexdigest()
    (tmp_path / f"{name}.json").write_text(json.dumps({**signed_in, "expiresAt": "2999-01-01T00:00:00Z"}))
    given = {"accessKeyId": "AKIDSSO", "secretAccessKey": "x", "sessionToken": "role", "expiration": 32503680000000}
    async with (
        ScriptedServer(answer(body=json.dumps({"roleCredentials": given}).encode())) as portal,
        ScriptedServer(answer(ETag='"1"')) as server,
    ):
        # Where sign-ins are kept the SDK knows from its import on.
        monkeypatch.setattr("aiobotocore.credentials.AioSSOProvider._SSO_TOKEN_CACHE_DIR", str(tmp_path))
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", portal.url)
        await AWSProvider(AWSSettings(endpoint=server.url, profile="science"), http, threads).stat("bucket/name")
    sent = server.requests[0].headers
    assert "Credential=AKIDSSO/" in sent["authorization"]
    assert sent["x-amz-security-token"] == "role"
    assert portal.requests[0].headers["x-amz-sso_bearer_token"] == "sign-in"


@pytest.mark.parametrize(
    ("variables", "config", "base"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}, "", "http://127.0.0.1:9000/bucket/"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}, "", "http://127.0.0.1:9000/bucket/"),
        ({}, "endpoint_url = https://minio.example.org\n", "https://minio.example.org/bucket/"),
        ({}, "", "https://bucket.s3.eu-west-1.amazonaws.com/"),
        ({}, "s3 =\n  addressing_style = path\n", "https://s3.eu-west-1.amazonaws.com/bucket/"),
        (
            {"AWS_ENDPOINT_URL": "http://s3.example.org:9000"},
            "s3 =\n  addressing_style = virtual\n",
            "http://bucket.s3.example.org:9000/",
        ),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "", "https://bucket.s3-fips.eu-west-1.amazonaws.com/"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "", "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/"),
    ],
)
async def test_addressing_follows_the_sdks_endpoint(
    http: HTTP,
    threads: Threads,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    config: str,
    base: str,
) -> None:
    """A bucket is in the host's name at Amazon's endpoints only, unless the SDK's configuration or the user say."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(f"[default]\n{config}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    aws = AWSProvider(AWSSettings(), http, threads)
    assert (await aws.requests.base("bucket", "eu-west-1"))[1] == base
    assert "aws-global" not in (await aws.requests.base("bucket", "us-east-1"))[1]
    own = AWSProvider(AWSSettings(addressing="virtual"), http, threads)
    below = (await own.requests.base("bucket", "eu-west-1")).host.startswith("bucket.")
    assert below is ("127.0.0.1" not in base), "nothing stands below an address"
