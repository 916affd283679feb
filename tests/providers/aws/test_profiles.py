"""Profiles of AWS: roles, processes and SSO sign in over the session's data plane, or say why not."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from botocore.credentials import SSOProvider

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import S3Settings
from dxflow_async.exceptions import AccessDeniedError, StorageError
from dxflow_async.providers.aws.credentials import CloudCredentials
from dxflow_async.providers.http import HTTP
from tests.scripted_server import ScriptedServer, answer

_ROLE = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAOFROLE</AccessKeyId><SecretAccessKey>hush</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
_DENIED = b"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>not authorized to perform sts:AssumeRole</Message></Error></ErrorResponse>"""
_SSO = {"accessKeyId": "ASIAOFSSO", "secretAccessKey": "hush", "sessionToken": "token", "expiration": 4070908800000}


@pytest.fixture
async def http(threads: Threads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[HTTP]:
    """The data plane, on a machine whose configuration files are the test's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "credentials").write_text("[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = hush-base\n")
    async with aclosing(HTTP(threads)) as made:
        yield made


async def test_a_role_of_another_profile(
    http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """STS is asked with the keys of `source_profile`; its refusal reaches the user without a secret."""
    (tmp_path / "config").write_text("[profile lab]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\n")
    async with ScriptedServer(answer(body=_ROLE)) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        found = await CloudCredentials(S3Settings(profile="lab"), http, threads).credentials()
        assert (found.access_key, found.token) == ("ASIAOFROLE", "token")
        assert "Credential=AKIDBASE/" in sts.requests[0].headers["authorization"]
        sts.reply(answer("403 Forbidden", _DENIED))
        with pytest.raises(
            AccessDeniedError, match=r"not authorized to perform sts:AssumeRole.*AWS\.profile"
        ) as raised:
            await CloudCredentials(S3Settings(profile="lab"), http, threads).credentials()
    assert "hush" not in f"{raised.value!r}"


async def test_a_role_without_a_region(
    http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where nothing names the region of an STS elsewhere, the error says which setting does."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    (tmp_path / "config").write_text("[profile lab]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\n")
    with pytest.raises(AccessDeniedError, match=r"You must specify a region; set AWS\.region"):
        await CloudCredentials(S3Settings(profile="lab"), http, threads).credentials()


async def test_a_process(http: HTTP, threads: Threads, tmp_path: Path) -> None:
    """The keys that `credential_process` prints are used; a process that fails is an error, without its output."""
    program = tmp_path / "program.py"
    keys = {"Version": 1, "AccessKeyId": "ASIAOFPROCESS", "SecretAccessKey": "hush", "SessionToken": "token"}
    program.write_text(f"print({json.dumps(json.dumps(keys))})")
    (tmp_path / "config").write_text(f"[profile lab]\ncredential_process = {sys.executable} {program}\n")
    found = await CloudCredentials(S3Settings(profile="lab"), http, threads).credentials()
    assert found.access_key == "ASIAOFPROCESS"
    program.write_text("import sys\nprint('hush')\nsys.exit('sign in first')")
    with pytest.raises(AccessDeniedError, match="sign in first") as raised:
        await CloudCredentials(S3Settings(profile="lab"), http, threads).credentials()
    assert "hush" not in f"{raised.value!r}"


async def test_sso(http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The token that `aws sso login` stored is exchanged for keys; without it, the error says to sign in again."""
    (tmp_path / "config").write_text(
        "[profile lab]\nsso_start_url = https://lab.awsapps.example/start\nsso_region = eu-central-1\n"
        "sso_account_id = 123456789012\nsso_role_name = reader\n"
    )
    cache = tmp_path / ".aws/sso/cache"
    cache.mkdir(parents=True)
    monkeypatch.setattr(SSOProvider, "_SSO_TOKEN_CACHE_DIR", str(cache))  # which was found when it was imported
    stored = cache / f"{hashlib.sha1(b'https://lab.awsapps.example/start').hexdigest()}.json"
    stored.write_text(json.dumps({"accessToken": "hush-token", "expiresAt": "2099-01-01T00:00:00Z"}))
    body = json.dumps({"roleCredentials": _SSO}).encode()
    async with ScriptedServer(answer(body=body, Content_Type="application/json")) as portal:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", portal.url)
        found = await CloudCredentials(S3Settings(profile="lab"), http, threads).credentials()
        assert found.access_key == "ASIAOFSSO"
        assert portal.requests[0].headers["x-amz-sso_bearer_token"] == "hush-token"
        portal.reply(answer("401 Unauthorized", b'{"message": "Session token not found or invalid"}'))
        with pytest.raises(StorageError, match="Session token not found or invalid; sign in to AWS again") as raised:
            await CloudCredentials(S3Settings(profile="lab"), http, threads).credentials()
    assert "hush" not in f"{raised.value!r}"
