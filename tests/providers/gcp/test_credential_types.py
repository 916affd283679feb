"""Every type of credentials file signs in at its token servers, and says why where it is refused."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import time
from typing import Any

import pytest

from dxflow_async.exceptions import AccessDeniedError, ConfigurationError, NetworkError, ServiceError, StorageError
from tests.providers.connected_providers import ConnectGCP
from tests.providers.gcp.account_server import AccountServer
from tests.servers.resumable import ResumableServer, private_key

_USER = {"type": "authorized_user", "client_id": "id", "client_secret": "hush-client", "refresh_token": "hush-refresh"}

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nobody has signed in, with a proxy that does not answer but for this machine."""
    for name in (
        *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_UNIVERSE_DOMAIN", "STORAGE_EMULATOR_HOST"),
        *("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project-one")


@pytest.fixture
async def accounts() -> AsyncIterator[AccountServer]:
    """The token servers."""
    async with AccountServer() as server:
        yield server


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a credentials file."""

    def write_file(content: dict[str, Any]) -> Path:
        path = tmp_path / "account.json"
        path.write_text(json.dumps(content))
        return path

    return write_file


def executable(tmp_path: Path, **answer: Any) -> str:
    """A program that prints a subject token."""
    path = tmp_path / "program"
    path.write_text(f"#!{sys.executable}\nprint({json.dumps(json.dumps(answer))})\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def files(accounts: AccountServer, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """One credentials file of each type, and of each source."""
    (tmp_path / "subject").write_text("subject-token")
    url = {
        "url": f"{accounts.url}/subject",
        "headers": {"Metadata": "true"},
        "format": {"type": "json", "subject_token_field_name": "access"},
    }
    program = executable(
        tmp_path,
        version=1,
        success=True,
        token_type="urn:ietf:params:oauth:token-type:jwt",
        id_token="subject-token",
        expiration_time=4_000_000_000,
    )
    user = {**_USER, "token_uri": f"{accounts.url}/oauth"}
    workforce = {
        **_USER,
        "type": "external_account_authorized_user",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/q",
        "token_url": f"{accounts.url}/oauth",
        "token_info_url": f"{accounts.url}/info",
    }
    return {
        "user": user,
        "file": accounts.external({"file": str(tmp_path / "subject")}),
        "url": accounts.external(url),
        "aws": accounts.aws(),
        "executable": accounts.external({"executable": {"command": program, "timeout_millis": 9000}}),
        "workforce": workforce,
        "impersonated": {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": accounts.impersonation_url(),
            "source_credentials": workforce,
        },
        "impersonated by a workload": accounts.external(
            {"file": str(tmp_path / "subject")}, service_account_impersonation_url=accounts.impersonation_url()
        ),
    }


TYPES = ["user", "file", "url", "aws", "executable", "workforce", "impersonated", "impersonated by a workload"]


@pytest.mark.parametrize("lifetime", [True, False], ids=["expires_in", "without expires_in"])
@pytest.mark.parametrize("kind", TYPES)
async def test_each_type_gets_a_token(
    accounts: AccountServer,
    connect_gcp: ConnectGCP,
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    *,
    lifetime: bool,
) -> None:
    """The token of each type is accepted by the service, also if no response tells how long it lasts."""
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    accounts.lifetime = lifetime
    provider = connect_gcp(accounts.url, service_file=write(files(accounts, tmp_path)[kind]))
    for _ in range(2):
        page = await provider.list_page("", recursive=False)
        assert [entry.key for entry in page.entries] == ["bucket-one/"]
    assert len(accounts.forms) == 1
    assert accounts.tokens_sent == (["Bearer federated"] if kind.startswith("impersonated") else [])
    grant = await provider._identity.grant()
    assert "federated" not in repr(grant)


@pytest.mark.parametrize("offset", [7200.0, -7200.0], ids=["behind", "ahead"])
@pytest.mark.parametrize("kind", ["aws", "impersonated", "impersonated by a workload", "impersonated by a key"])
async def test_a_wrong_clock(
    accounts: AccountServer, connect_gcp: ConnectGCP, write: Write, tmp_path: Path, kind: str, offset: float
) -> None:
    """A machine whose clock is hours off signs in, and uses the token for as long as it lasts."""
    accounts.offset, accounts.key = offset, private_key().public_key()
    known = files(accounts, tmp_path)
    key_file = ResumableServer().service_file(tmp_path, token_uri=f"{accounts.url}/assertion")
    known["impersonated by a key"] = {**known["impersonated"], "source_credentials": json.loads(key_file.read_text())}
    provider = connect_gcp(accounts.url, service_file=write(known[kind]))
    await provider.list_page("", recursive=False)
    grant = await provider._identity.grant()
    assert 3000 < grant.ends_at - time() < 3700


@pytest.mark.parametrize(
    ("kind", "path", "status", "body", "cls", "text"),
    [
        ("user", "/oauth", 400, {"error": "invalid_grant"}, AccessDeniedError, "says: invalid_grant"),
        ("workforce", "/oauth", 400, {"error": "invalid_grant"}, AccessDeniedError, "says: invalid_grant"),
        (
            *("file", "/sts", 400),
            {"error": "invalid_target", "error_description": "The target service indicated by audience is invalid"},
            *(AccessDeniedError, "invalid_target The target service"),
        ),
        ("file", "/sts", 503, {"error": "unavailable"}, ServiceError, r"unavailable \(503\)"),
        ("url", "/subject", 404, {"error": "no identity"}, AccessDeniedError, r"no identity \(404\)"),
        ("aws", "/latest/meta-data/iam/security-credentials", 404, {}, AccessDeniedError, r"\(404\)"),
        (
            *("impersonated", "/v1/projects/-/serviceAccounts/robot@lab.example", 403),
            {"error": {"code": 403, "message": "Permission 'iam.serviceAccounts.getAccessToken' denied"}},
            *(AccessDeniedError, "getAccessToken' denied"),
        ),
    ],
)
async def test_a_refusal_is_told(
    accounts: AccountServer,
    connect_gcp: ConnectGCP,
    write: Write,
    tmp_path: Path,
    kind: str,
    path: str,
    status: int,
    body: dict[str, Any],
    cls: type[StorageError],
    text: str,
) -> None:
    """The text of the token server that refuses reaches the user with its host and status; no secret does."""
    accounts.refusals[path] = status, body
    provider = connect_gcp(accounts.url, service_file=write(files(accounts, tmp_path)[kind]))
    with pytest.raises(cls, match=text) as raised:
        await provider.list_page("", recursive=False)
    assert raised.value.status == status
    assert accounts.url.partition("//")[2] in str(raised.value)
    chain = f"{raised.value!r} {raised.value.__dict__} {raised.value.__cause__!r} {raised.value.__context__!r}"
    assert not any(secret in chain for secret in ("hush", "subject-token", "federated"))


async def test_executables_need_permission(
    accounts: AccountServer, connect_gcp: ConnectGCP, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executable is run only where a variable permits it; one that fails is told without its output."""
    provider = connect_gcp(accounts.url, service_file=write(files(accounts, tmp_path)["executable"]))
    with pytest.raises(ConfigurationError, match="GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1"):
        await provider.list_page("", recursive=False)
    assert accounts.asked == []
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    executable(tmp_path, version=1, success=False, code="401", message="sign in at the desk")
    with pytest.raises(AccessDeniedError, match="code: 401, message: sign in at the desk"):
        await provider.list_page("", recursive=False)
    (tmp_path / "program").write_text("#!/bin/sh\necho hush-output\nexit 3\n")
    with pytest.raises(AccessDeniedError, match="non-zero return code 3") as raised:
        await provider.list_page("", recursive=False)
    (tmp_path / "program").unlink()
    with pytest.raises(AccessDeniedError, match="cannot be run"):
        await provider.list_page("", recursive=False)
    assert "hush" not in f"{raised.value!r} {raised.value.__context__!r}"


async def test_a_token_server_that_is_down(
    accounts: AccountServer, connect_gcp: ConnectGCP, write: Write, tmp_path: Path
) -> None:
    """A token server that does not listen is a network error that names it."""
    file = write({**files(accounts, tmp_path)["file"], "token_url": "http://127.0.0.1:9/sts"})
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:9"):
        await connect_gcp(accounts.url, service_file=file).list_page("", recursive=False)


async def test_a_subject_token_that_is_missing(
    accounts: AccountServer, connect_gcp: ConnectGCP, write: Write, tmp_path: Path
) -> None:
    """A source's file that is not there is named."""
    file = write(accounts.external({"file": str(tmp_path / "nothing")}))
    with pytest.raises(AccessDeniedError, match="nothing' was not found"):
        await connect_gcp(accounts.url, service_file=file).list_page("", recursive=False)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"type": "gdch_service_account", "private_key": "hush"}, "Distributed Cloud are not supported"),
        ({"type": "unheard"}, "its type is 'unheard'; it must be one of authorized_user"),
        ({}, "its type is None"),
        ({"type": ["service_account"]}, "its type is \\['service_account'\\]"),
        ({**_USER, "refresh_token": ""}, "has no refresh_token"),
        (
            {"type": "external_account", "client_secret": "hush"},
            "has no audience, subject_token_type, credential_source",
        ),
        ({"type": "external_account_authorized_user", "client_secret": "hush"}, "cannot be used"),
        ({"type": "impersonated_service_account", "source_credentials": {}}, "has no service_account_impersonation"),
        ({"type": "service_account", "private_key": "hush"}, "has no client_email"),
        (
            {**_USER, "universe_domain": "evil.example/path?x"},
            "universe_domain 'evil.example/path\\?x' is not a domain",
        ),
        ({**_USER, "universe_domain": ["other.example"]}, "is not a domain"),
    ],
)
async def test_files_that_cannot_be_used(
    connect_gcp: ConnectGCP, write: Write, content: dict[str, Any], text: str
) -> None:
    """A file of another type, with fields missing, or of a universe that is no domain is refused before any request."""
    provider = connect_gcp(service_file=write(content))
    with pytest.raises(ConfigurationError, match=text) as raised:
        await provider.list_page("", recursive=False)
    assert "hush" not in f"{raised.value!r} {raised.value.__context__!r}"
    assert "account.json" in str(raised.value)


async def test_gclouds_own_file(
    accounts: AccountServer, connect_gcp: ConnectGCP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a setting, gcloud's file counts, of any type; the variable goes before it; a broken one is named."""
    content = files(accounts, tmp_path)
    own = tmp_path / "gcloud/application_default_credentials.json"
    own.parent.mkdir()
    own.write_text(json.dumps(content["impersonated"]))
    provider = connect_gcp(accounts.url)
    provider._identity.anonymous = False  # as if it were elsewhere
    await provider.list_page("", recursive=False)
    assert accounts.tokens_sent == ["Bearer federated"]
    own.write_text("{")
    provider = connect_gcp(accounts.url)
    provider._identity.anonymous = False
    with pytest.raises(ConfigurationError, match=r"application_default_credentials\.json cannot be used: .* not JSON"):
        await provider.list_page("", recursive=False)
    (tmp_path / "variable.json").write_text(json.dumps(content["user"]))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "variable.json"))
    await connect_gcp(accounts.url).list_page("", recursive=False)


async def test_missing_file_of_the_variable(
    connect_gcp: ConnectGCP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable that names the file, and not a setting that nobody set."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(ConfigurationError, match=r"GOOGLE_APPLICATION_CREDENTIALS = '.*missing\.json' cannot be used"):
        await connect_gcp("https://127.0.0.1:9").list_page("", recursive=False)
