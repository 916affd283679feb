"""Keys of the environment, found without the SDK exactly where botocore would find the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.aws.credentials import CloudCredentials
from dxflow_async.providers.aws.environment_keys import keys_of_environment, token_of_environment
from dxflow_async.providers.http import HTTP
from tests.python_processes import clean_environment, run_script

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secretsecret"}
CASES = {
    "two keys": KEYS,
    "line ends": {name: f"{value}\r\n" for name, value in KEYS.items()},
    "a token": {**KEYS, "AWS_SESSION_TOKEN": "token"},
    "two tokens": {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_SECURITY_TOKEN": "older"},
    "an empty token first": {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_SECURITY_TOKEN": ""},
}


@pytest.mark.parametrize("variables", CASES.values(), ids=CASES)
def test_same_keys_as_botocore(variables: dict[str, str], tmp_path: Path) -> None:
    """Keys and token are those that botocore's own chain gives, but for white space around them."""
    environment = {**variables, "AWS_CONFIG_FILE": str(tmp_path / "none")}
    found = keys_of_environment("AWS", environment)
    code = """
        import botocore.session
        keys = botocore.session.Session().get_credentials().get_frozen_credentials()
        print([(key or "").strip() for key in keys[:3]])
    """
    told = run_script(code, clean_environment(tmp_path, **environment))
    assert found is not None
    assert told.stdout.strip() == str([found.access_key, str(found.secret_key), str(found.token or "")]), told.stderr


@pytest.mark.parametrize(
    "others",
    [
        {"AWS_PROFILE": "science"},
        {"AWS_DEFAULT_PROFILE": "science"},
        {"AWS_CREDENTIAL_EXPIRATION": "2030-01-01T00:00:00Z"},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_SECRET_ACCESS_KEY": "se\ncret"},
        {"AWS_CONFIG_FILE": __file__},
    ],
    ids=str,
)
def test_what_is_less_plain_is_left_to_botocore(others: dict[str, str], tmp_path: Path) -> None:
    """A profile, keys that end, half a pair, keys that no header carries and a configuration file need the SDK."""
    assert keys_of_environment("AWS", {**KEYS, "AWS_CONFIG_FILE": str(tmp_path / "none"), **others}) is None


def test_a_first_request_loads_no_sdk(tmp_path: Path) -> None:
    """With keys, region and endpoint in the environment, a request is signed and sent without botocore."""
    code = """
        import asyncio, sys
        from dxflow_async import AsyncSession, NetworkError

        async def main():
            async with AsyncSession() as session:
                try:
                    await session.get_storage_manager().exists("/bucket/object", "AWS")
                except NetworkError as error:
                    print("refused", [name for name in ("aioboto3", "botocore") if name in sys.modules])

        asyncio.run(main())
    """
    place = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "DXFLOW_MAX_ATTEMPTS": "1"}
    outcome = run_script(code, clean_environment(tmp_path, **KEYS, **place))
    assert outcome.stdout.strip() == "refused []", outcome.stderr


@pytest.mark.parametrize(
    ("given", "environ", "token"),
    [
        (("AKIDEXAMPLE", "secretsecret"), {**KEYS, "AWS_SESSION_TOKEN": "token\n"}, "token"),
        (("AKIDEXAMPLE", "secretsecret"), {**KEYS, "AWS_SECURITY_TOKEN": "older"}, "older"),
        (("AKIDEXAMPLE", "secretsecret"), {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_SECURITY_TOKEN": "o"}, "token"),
        (("AKIDEXAMPLE", "secretsecret"), KEYS, None),
        (("AKIDEXAMPLE", "othersecret"), {**KEYS, "AWS_SESSION_TOKEN": "token"}, None),
        (("AKIDOTHER", "secretsecret"), {**KEYS, "AWS_SESSION_TOKEN": "token"}, None),
        (("AKIDOTHER", "secretsecret"), {"AWS_SESSION_TOKEN": "token"}, None),
    ],
)
def test_a_token_belongs_to_its_keys(given: tuple[str, str], environ: dict[str, str], token: str | None) -> None:
    """The environment's token completes keys of the settings that the environment has, too, and no others."""
    assert token_of_environment(*given, environ) == token


@pytest.mark.parametrize("variables", [{}, {"AWS_SESSION_TOKEN": "token"}])
def test_temporary_keys_need_their_token(
    variables: dict[str, str], http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon's temporary keys without their token are refused before a request, and the setting is named."""
    for name in (*KEYS, "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=r"set it( \(AWS_SESSION_TOKEN belongs to other keys\))?$") as raised:
        CloudCredentials(AWSSettings(access_key="ASIAOTHER", secret_key="hush"), http, threads)
    assert "AWS.session_token" in str(raised.value)
    assert ("other keys" in str(raised.value)) is bool(variables)
    assert "hush" not in str(raised.value)


async def test_keys_of_the_settings_stand_alone(http: HTTP, threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the settings are used although the environment has a profile and a token; none of those is sent."""
    monkeypatch.setenv("AWS_PROFILE", "other")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "othersecret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    settings = AWSSettings(endpoint="https://s3.example.org", access_key="AKIDOWN", secret_key="own")
    found = await CloudCredentials(settings, http, threads).credentials()
    assert (found.access_key, found.secret_key, found.token) == ("AKIDOWN", "own", None)
