"""The options of a command that say who asks and who pays, at servers that insist on it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.dialects.encrypted_azure import EncryptedAzure
from tests.dialects.encrypted_google import EncryptedGoogle
from tests.dialects.google_quirks import GoogleQuirks
from tests.dialects.google_server import GoogleServer
from tests.dialects.paying import PAYER
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.python_processes import Outcome, clean_environment, run_script

REFUSED = 4
"""The exit status of a command that the service has not permitted."""


async def command(home: Path, *words: str, **variables: str) -> Outcome:
    """Runs the command in a process of its own."""
    code = f"import sys\nfrom dxflow_async.cli import main\nsys.exit(main({list(words)!r}))\n"
    return await asyncio.to_thread(run_script, code, clean_environment(home, **variables), directory=home.parent)


async def test_the_requester_pays_at_s3(tmp_path: Path) -> None:
    """With `--requester-pays`, and only then, a bucket that makes its requesters pay is written and read."""
    (tmp_path / "file").write_bytes(b"paid")
    async with S3Server(Quirks(requester_pays=True)) as server:
        keys = {"DXFLOW_AWS_ACCESS_KEY": server.access_key, "DXFLOW_AWS_SECRET_KEY": server.secret_key}
        keys |= {"DXFLOW_AWS_ENDPOINT": server.endpoint, "DXFLOW_AWS_REGION": "us-east-1"}
        home = tmp_path / "home"
        assert (await command(home, "cp", "file", "s3://bucket/file", **keys)).status == REFUSED
        assert (await command(home, "cp", "file", "s3://bucket/file", "--requester-pays", **keys)).status == 0
        assert (await command(home, "cat", "aws:/bucket/file", "--requester-pays", **keys)).stdout == "paid"


async def test_a_project_pays_at_google(tmp_path: Path) -> None:
    """With `--user-project`, and only then, a bucket that makes its requesters pay is written and read."""
    (tmp_path / "file").write_bytes(b"paid")
    async with GoogleServer(GoogleQuirks(user_project=PAYER)) as server:
        settings = {
            "DXFLOW_GCP_ENDPOINT": server.url,
            "DXFLOW_GCP_SERVICE_FILE": str(server.service_file(tmp_path)),
        }
        home, options = tmp_path / "home", ("--user-project", PAYER)
        assert (await command(home, "cp", "file", "gs://bucket/file", **settings)).status != 0
        assert (await command(home, "cp", "file", "gs://bucket/file", *options, **settings)).status == 0
        assert (await command(home, "cat", "gcp:/bucket/file", *options, **settings)).stdout == "paid"


@pytest.mark.parametrize("how", ["key", "connection string"])
async def test_anonymous_at_azure(tmp_path: Path, how: str) -> None:
    """`--anonymous` takes the place of the credentials that are configured, however they are written."""
    async with EncryptedAzure() as server:
        server.put("x", b"for all")
        text = f"BlobEndpoint={server.url};AccountName=account1;AccountKey=a2V5"
        settings = {"DXFLOW_AZURE_CONNECTION_STRING": text}
        if how == "key":
            settings = {"DXFLOW_AZURE_ENDPOINT": server.url, "DXFLOW_AZURE_ACCOUNT": "account1"}
            settings["DXFLOW_AZURE_ACCOUNT_KEY"] = "a2V5"
        outcome = await command(tmp_path / "home", "cat", "az://container/x", "--anonymous", **settings)
        assert (outcome.stdout, server.signed) == ("for all", 0)
        await command(tmp_path / "home", "cat", "az://container/x", **settings)
        assert server.signed > 0


async def test_anonymous_at_google(tmp_path: Path) -> None:
    """`--anonymous` sends no token, also where a service account is configured."""
    async with EncryptedGoogle(anonymous=True) as server:
        settings = {"DXFLOW_GCP_ENDPOINT": server.url, "DXFLOW_GCP_SERVICE_FILE": str(server.service_file(tmp_path))}
        (tmp_path / "file").write_bytes(b"for all")
        home = tmp_path / "home"
        assert (await command(home, "cp", "file", "gs://bucket/x", "--anonymous", **settings)).status == 0
        outcome = await command(home, "cat", "gs://bucket/x", "--anonymous", **settings)
        assert (outcome.stdout, server.signed) == ("for all", 0)
