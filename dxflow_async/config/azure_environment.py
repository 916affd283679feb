"""Azure's own environment variables: which account they name, and whether its credentials may be used.

Variables are an account of their own. They never mix with an account that settings name: a key or a signature of one
account must not be sent for another one.

Sources: https://learn.microsoft.com/azure/storage/blobs/authorize-data-operations-cli
https://learn.microsoft.com/cli/azure/azure-cli-configuration
https://github.com/fsspec/adlfs (`AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.config.clouds import AzureSettings
from dxflow_async.config.connection_string import parse_connection_string
from dxflow_async.config.texts import trim
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret

__all__ = ["AZURE_ACCOUNT_VARIABLES", "azure_account"]

_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
_ACCOUNTS = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
_KEYS = ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY")
_SAS = "AZURE_STORAGE_SAS_TOKEN"
_MODE = "AZURE_STORAGE_AUTH_MODE"

AZURE_ACCOUNT_VARIABLES = (_CONNECTION, *_ACCOUNTS)
"""The variables that name an account. A key or a signature alone names none."""


def azure_account(settings: AzureSettings, environ: Mapping[str, str]) -> AzureSettings:
    """Returns settings with the account of Azure's variables, where the settings name none.

    Settings that name an endpoint, a connection string or credentials stand for themselves. Settings that name only an
    account use the variables' credentials if those belong to the same account.

    Raises:
        ConfigurationError: two variables contradict each other; the message names both, and shows no value.
    """
    if any((settings.endpoint, settings.connection_string, settings.account_key, settings.sas_token)):
        return settings
    if settings.credentials is not None:
        return settings if settings.account else replace(settings, account=_only(environ, _ACCOUNTS)[0])
    found = _account_of(environ)
    if settings.account is None:
        return replace(settings, **found)
    if found.get("connection_string"):
        found = {"account": _named(found["connection_string"])[1], **found}
    if found.get("account") != settings.account:
        return settings
    return replace(settings, **{**found, "account": settings.account})


def _account_of(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings that the variables stand for."""
    account, account_variable = _only(environ, _ACCOUNTS)
    key, key_variable = _only(environ, _KEYS)
    login = _signs_in(environ)
    text = _value(environ, _CONNECTION)
    if text is not None:
        parts, named = _named(text)
        if account is not None and named is not None and account != named:
            raise _contradiction(_CONNECTION, account_variable, "name different accounts")
        if key is not None and parts.get("account_key", key) != key and not login:
            raise _contradiction(_CONNECTION, key_variable, "have different keys")
        if not login:
            return {"connection_string": text}
        return {"endpoint": parts["endpoint"], "account": account or parts.get("account")}
    if account is None:
        return {}
    if login:
        return {"account": account}
    sas = _value(environ, _SAS)
    if key is None and sas is None and _value(environ, _MODE) is not None:
        raise ConfigurationError(
            f"{_MODE} is key, and there is no key: set {_KEYS[0]} or {_SAS}, or set {_MODE} to login"
        )
    return {"account": account, "account_key": key, "sas_token": sas}


def _named(text: str) -> tuple[dict[str, str], str | None]:
    """A connection string's settings, and the account that it names, in its endpoint at least."""
    try:
        parts = parse_connection_string(text)
    except ConfigurationError as error:
        reason = f"{error} (it is from {_CONNECTION})"
    else:
        host = urlsplit(parts["endpoint"]).hostname or ""
        name, dot, _ = host.partition(".blob.")
        return parts, parts.get("account") or (name if dot else None)
    raise ConfigurationError(reason)


def _signs_in(environ: Mapping[str, str]) -> bool:
    """Whether tokens are used although there may be a key: `AZURE_STORAGE_AUTH_MODE=login`, as for the Azure CLI."""
    mode = (_value(environ, _MODE) or "key").lower()
    if mode not in ("key", "login"):
        raise ConfigurationError(f"{_MODE} is not allowed: it must be key or login")
    return mode == "login"


def _only(environ: Mapping[str, str], variables: tuple[str, ...]) -> tuple[Secret | None, str]:
    """The value of variables that mean the same, and the one that has it."""
    found = [(value, each) for each in variables if (value := _value(environ, each)) is not None]
    if len({value for value, _ in found}) > 1:
        raise _contradiction(found[0][1], found[1][1], "are different")
    return found[0] if found else (None, variables[0])


def _value(environ: Mapping[str, str], variable: str) -> Secret | None:
    return Secret(trim(environ.get(variable, ""))) or None


def _contradiction(one: str, other: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{one} and {other} {what}; unset one of them")
