"""Azure's variables together with settings: one account at a time."""

from __future__ import annotations

from typing import Any

import pytest

from dxflow_async import AzureSettings
from dxflow_async.config.azure_environment import azure_account
from dxflow_async.config.credentials import SASToken
from dxflow_async.exceptions import ConfigurationError

KEY, OTHER_KEY = "a2V5", "b3RoZXI="
OWN = f"AccountName=own;AccountKey={OTHER_KEY}"
SCIENCE = f"AccountName=science;AccountKey={KEY}"
SIGNED = "BlobEndpoint=https://science.blob.core.windows.net;SharedAccessSignature=sv=1&sig=2"


HOST = "https://science.blob.core.windows.net"


async def function() -> SASToken:
    """A function of the settings."""
    return SASToken(token="sv=1&sig=own")


def variables(**values: str) -> dict[str, str]:
    """Variables without their common beginning."""
    return {f"AZURE_STORAGE_{name}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("settings", "environ", "changed"),
    [
        # Nothing is set: the variables are the account.
        ({}, {}, {}),
        ({}, {"ACCOUNT": "science"}, {"account": "science"}),
        ({}, {"ACCOUNT": "science", "KEY": KEY}, {"account": "science", "account_key": KEY}),
        ({}, {"ACCOUNT_NAME": "science", "ACCOUNT_KEY": KEY}, {"account": "science", "account_key": KEY}),
        ({}, {"ACCOUNT": "science", "ACCOUNT_NAME": "science", "KEY": KEY}, {"account": "science", "account_key": KEY}),
        ({}, {"ACCOUNT": " science\n", "KEY": f"{KEY}\r\n"}, {"account": "science", "account_key": KEY}),
        ({}, {"ACCOUNT": "science", "SAS_TOKEN": "?sv=1"}, {"account": "science", "sas_token": "?sv=1"}),
        ({}, {"CONNECTION_STRING": SCIENCE}, {"connection_string": SCIENCE}),
        ({}, {"CONNECTION_STRING": SCIENCE, "ACCOUNT": "science", "KEY": KEY}, {"connection_string": SCIENCE}),
        ({}, {"CONNECTION_STRING": SIGNED, "ACCOUNT": "science", "KEY": KEY}, {"connection_string": SIGNED}),
        # A key or a signature whose account is not named is not used.
        ({}, {"KEY": KEY, "SAS_TOKEN": "sv=1"}, {}),
        # Signing in goes before keys, as for the Azure CLI.
        ({}, {"ACCOUNT": "science", "KEY": KEY, "AUTH_MODE": "Login"}, {"account": "science"}),
        ({}, {"ACCOUNT": "science", "KEY": KEY, "AUTH_MODE": "key"}, {"account": "science", "account_key": KEY}),
        (
            *({}, {"CONNECTION_STRING": SCIENCE, "AUTH_MODE": "login"}),
            {"endpoint": "https://science.blob.core.windows.net", "account": "science"},
        ),
        # Credentials or an endpoint of the settings stand alone.
        ({"connection_string": OWN}, {"ACCOUNT": "science", "KEY": KEY, "SAS_TOKEN": "sv=1"}, {}),
        ({"account": "own", "account_key": OTHER_KEY}, {"ACCOUNT": "science", "KEY": KEY}, {}),
        ({"account": "own", "sas_token": "sv=2"}, {"ACCOUNT": "own", "KEY": KEY}, {}),
        ({"account": "own", "account_key": OTHER_KEY}, {"CONNECTION_STRING": SCIENCE, "ACCOUNT": "other"}, {}),
        ({"endpoint": "https://e.example"}, {"ACCOUNT": "science", "KEY": KEY}, {}),
        ({"endpoint": "https://e.example", "account": "science"}, {"ACCOUNT": "science", "SAS_TOKEN": "sv=1"}, {}),
        # An account of the settings gets the credentials of the same account, and never those of another one.
        ({"account": "science"}, {"ACCOUNT": "science", "KEY": KEY}, {"account_key": KEY}),
        ({"account": "science"}, {"CONNECTION_STRING": SCIENCE}, {"connection_string": SCIENCE}),
        ({"account": "science"}, {"CONNECTION_STRING": SIGNED}, {"connection_string": SIGNED}),
        ({"account": "science"}, {"ACCOUNT": "science", "SAS_TOKEN": "sv=1"}, {"sas_token": "sv=1"}),
        ({"account": "science"}, {"ACCOUNT": "science", "KEY": KEY, "AUTH_MODE": "login"}, {}),
        ({"endpoint": HOST}, {"ACCOUNT": "science", "KEY": KEY}, {"account": "science", "account_key": KEY}),
        ({"endpoint": HOST}, {"CONNECTION_STRING": SIGNED}, {"account": "science", "sas_token": "sv=1&sig=2"}),
        # A key or a signature alone belongs to the account of the settings, as for the Azure CLI.
        ({"account": "own"}, {"KEY": KEY}, {"account_key": KEY}),
        ({"account": "own"}, {"ACCOUNT_KEY": f" {KEY}"}, {"account_key": KEY}),
        ({"account": "own"}, {"SAS_TOKEN": "sv=1"}, {"sas_token": "sv=1"}),
        ({"account": "own"}, {"KEY": KEY, "SAS_TOKEN": "sv=1"}, {"account_key": KEY}),
        ({"account": "own"}, {"KEY": KEY, "AUTH_MODE": "login"}, {}),
        ({"endpoint": HOST}, {"KEY": KEY}, {"account": "science", "account_key": KEY}),
        # An account of the variables without credentials says nothing of another one.
        ({"account": "own"}, {"ACCOUNT": "science"}, {}),
        ({"account": "own"}, {"ACCOUNT": "science", "KEY": KEY, "AUTH_MODE": "login"}, {}),
        # No credentials are wanted.
        ({"account": "science", "anonymous": True}, {"ACCOUNT": "science", "KEY": KEY}, {}),
        ({"anonymous": True}, {"ACCOUNT": "science", "KEY": KEY}, {"account": "science"}),
        # An endpoint that names no account gets nothing.
        ({"endpoint": "http://127.0.0.1:10000/science"}, {"ACCOUNT": "science", "KEY": KEY}, {}),
        ({"endpoint": "https://e.example", "account": "science"}, {"KEY": KEY}, {}),
        # A function of the settings: only the account's name is the variables'.
        ({"credentials": function}, {"ACCOUNT": "science", "KEY": KEY}, {"account": "science"}),
        ({"credentials": function, "account": "own"}, {"ACCOUNT": "science", "KEY": KEY}, {}),
    ],
)
def test_which_account_counts(settings: dict[str, Any], environ: dict[str, str], changed: dict[str, Any]) -> None:
    """The settings win wholly, the variables count where they name the same account or the settings name none."""
    found = azure_account(AzureSettings(**settings), variables(**environ), default=True)
    assert found == AzureSettings(**{**settings, **changed})
    assert not any(secret in repr(found) for secret in (KEY, OTHER_KEY, "sv=", "sig="))


@pytest.mark.parametrize(
    ("settings", "setting"),
    [({"account": "own"}, "account"), ({"endpoint": "https://own.blob.core.windows.net"}, "endpoint")],
)
@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"ACCOUNT": "science", "KEY": KEY}, "ACCOUNT"),
        ({"ACCOUNT_NAME": "science", "SAS_TOKEN": "sv=1"}, "ACCOUNT_NAME"),
        ({"CONNECTION_STRING": SCIENCE}, "CONNECTION_STRING"),
        ({"CONNECTION_STRING": SIGNED}, "CONNECTION_STRING"),
    ],
)
def test_credentials_of_another_account(
    settings: dict[str, Any], setting: str, environ: dict[str, str], variable: str
) -> None:
    """Variables of another account contradict the default remote's; a remote with a name has its own account."""
    given = AzureSettings(**settings)
    names = f"AZURE.{setting} and AZURE_STORAGE_{variable} name different accounts"
    with pytest.raises(ConfigurationError, match=names) as raised:
        azure_account(given, variables(**environ), default=True)
    assert not any(secret in str(raised.value) for secret in (KEY, "sv=1"))
    assert azure_account(given, variables(**environ)) == given


def test_a_key_without_an_account_belongs_to_one_remote() -> None:
    """Other remotes than the default one do not use a key or a signature whose account is not named."""
    for environ in (variables(KEY=KEY), variables(SAS_TOKEN="sv=1")):
        own = AzureSettings(account="own")
        assert azure_account(own, environ) == own


@pytest.mark.parametrize(
    ("environ", "one", "other"),
    [
        ({"CONNECTION_STRING": SCIENCE, "ACCOUNT": "own"}, "CONNECTION_STRING", "ACCOUNT"),
        ({"CONNECTION_STRING": SIGNED, "ACCOUNT_NAME": "own"}, "CONNECTION_STRING", "ACCOUNT_NAME"),
        ({"CONNECTION_STRING": SCIENCE, "ACCOUNT": "science", "KEY": OTHER_KEY}, "CONNECTION_STRING", "KEY"),
        ({"CONNECTION_STRING": SCIENCE, "ACCOUNT": "own", "AUTH_MODE": "login"}, "CONNECTION_STRING", "ACCOUNT"),
        ({"ACCOUNT": "science", "ACCOUNT_NAME": "own"}, "ACCOUNT", "ACCOUNT_NAME"),
        ({"ACCOUNT": "science", "KEY": KEY, "ACCOUNT_KEY": OTHER_KEY}, "KEY", "ACCOUNT_KEY"),
    ],
)
def test_contradictions_name_both_sources(environ: dict[str, str], one: str, other: str) -> None:
    """Variables that contradict each other are an error that names both and shows no value."""
    with pytest.raises(ConfigurationError, match=f"AZURE_STORAGE_{one} and AZURE_STORAGE_{other} ") as raised:
        azure_account(AzureSettings(), variables(**environ))
    assert not any(secret in str(raised.value) for secret in (KEY, OTHER_KEY, "sv=1"))


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"CONNECTION_STRING": "AccountName=science;AccountKey"}, "CONNECTION_STRING"),
        ({"ACCOUNT": "science", "AUTH_MODE": "password"}, "AUTH_MODE"),
        ({"ACCOUNT": "science", "AUTH_MODE": "key"}, "AUTH_MODE is key, and there is no key: set AZURE_STORAGE_KEY"),
    ],
)
def test_values_that_are_not_valid(environ: dict[str, str], variable: str) -> None:
    """The variable with the wrong value is named."""
    with pytest.raises(ConfigurationError, match=f"AZURE_STORAGE_{variable}"):
        azure_account(AzureSettings(), variables(**environ))
