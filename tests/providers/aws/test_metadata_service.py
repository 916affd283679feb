"""The metadata service of EC2: asked directly, and given up soon."""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from pathlib import Path
from time import monotonic

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import S3Settings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.aws.credentials import CloudCredentials
from dxflow_async.providers.http import HTTP
from tests.scripted_server import ScriptedServer, answer

KEYS = {
    "Code": "Success",
    "Type": "AWS-HMAC",
    "AccessKeyId": "ASIAOFMACHINE",
    "SecretAccessKey": "hush",
    "Token": "token",
    "Expiration": "2099-01-01T00:00:00Z",
}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any configuration but a proxy that does not answer."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


async def test_the_machines_role_is_asked_directly(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of the machine's role come from IMDSv2, whatever proxy the environment names."""
    keys = answer(body=json.dumps(KEYS).encode())
    async with (
        ScriptedServer(answer(body=b"imds-token"), answer(body=b"role"), keys) as server,
        aclosing(HTTP(threads)) as http,
    ):
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
        found = await CloudCredentials(S3Settings(), http, threads).credentials()
    assert (found.access_key, found.secret_key, found.token) == ("ASIAOFMACHINE", "hush", "token")
    assert [request.method for request in server.requests] == ["PUT", "GET", "GET"]
    assert server.requests[2].headers["x-aws-ec2-metadata-token"] == "imds-token"


async def test_containers_are_asked_directly(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's credentials come from the address of its variable, with its token, and not through a proxy."""
    async with ScriptedServer(answer(body=json.dumps(KEYS).encode())) as server, aclosing(HTTP(threads)) as http:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token")
        found = await CloudCredentials(S3Settings(), http, threads).credentials()
    assert found.access_key == "ASIAOFMACHINE"
    assert server.requests[0].headers["authorization"] == "container-token"


async def test_a_machine_without_a_service(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing listens the search ends within seconds, and the error says what to set."""
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    begin = monotonic()
    async with aclosing(HTTP(threads)) as http:
        with pytest.raises(ConfigurationError, match=r"no AWS credentials were found: set AWS\.access_key"):
            await CloudCredentials(S3Settings(), http, threads).credentials()
    assert monotonic() - begin < 30
