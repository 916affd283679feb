"""Azure's own environment variables: which account they name, and whether its credentials may be used.

A key or a signature of one account must never be sent for another one. Variables that name an account are an account
of their own. A key or a signature without an account belongs to the account of the default remote, as it does for the
Azure CLI; a remote with a name of its own takes credentials only from variables that name the same account.

Sources: https://learn.microsoft.com/azure/storage/blobs/authorize-data-operations-cli
https://learn.microsoft.com/cli/azure/azure-cli-configuration
https://github.com/fsspec/adlfs (`AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.config.azure_endpoint import read_endpoint
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


def azure_account(settings: AzureSettings, environ: Mapping[str, str], *, default: bool = False) -> AzureSettings:
    """Returns settings with the account and the credentials of Azure's variables, where the settings leave them open.

    Settings that have credentials, are anonymous, or name an endpoint that is not of Azure's form, stand for
    themselves. Settings that name an account use the variables' credentials if those belong to the same account.

    Args:
        settings: of a remote.
        environ: the environment.
        default: whether it is the default remote, and this machine configures it: a key or a signature alone belongs
            to its account. It never belongs to an account that a hub names.

    Raises:
        ConfigurationError: two variables contradict each other, or variables with credentials name another account
            than the settings of the default remote do; the message names both, and shows no secret.
    """
    if any((settings.connection_string, settings.account_key, settings.sas_token)):
        return settings
    if settings.credentials is not None or settings.anonymous:
        named = settings.account or settings.endpoint
        return settings if named else replace(settings, account=_only(environ, _ACCOUNTS)[0])
    found = _account_of(environ) if settings.endpoint is None else {}
    setting, account = _account_in(settings)
    if account is None:
        return replace(settings, **found)
    found = found or _account_of(environ)
    if not found:
        return _with_lone_credentials(settings, account, environ) if default else settings
    theirs = _named(found["connection_string"])[1] if found.get("connection_string") else found.get("account")
    if theirs == account:
        if settings.endpoint is not None:
            found = _credentials_at_endpoint(found)
        return replace(settings, **{**found, "account": account})
    if default and any(found.get(each) for each in ("connection_string", "account_key", "sas_token")):
        variable = _CONNECTION if found.get("connection_string") else _only(environ, _ACCOUNTS)[1]
        raise ConfigurationError(
            f"{setting} and {variable} name different accounts, and {setting} has no credentials of its own; unset "
            f"the variable, set AZURE.account_key or AZURE.sas_token, or set {_MODE} to login to sign in instead"
        )
    return settings


def _with_lone_credentials(settings: AzureSettings, account: str, environ: Mapping[str, str]) -> AzureSettings:
    """Returns settings with a key or a signature of the variables, which name no account."""
    key, sas = _only(environ, _KEYS)[0], _value(environ, _SAS)
    if _signs_in(environ) or (key is None and sas is None):
        return settings
    return replace(settings, account=account, account_key=key, sas_token=None if key else sas)


def _account_in(settings: AzureSettings) -> tuple[str, str | None]:
    """Returns the setting that names an account, and the account. An endpoint counts if its host is of Azure's form."""
    if settings.endpoint is None:
        return "AZURE.account", settings.account
    found = read_endpoint(settings.endpoint)
    host = urlsplit(settings.endpoint).hostname or ""
    if found.account is None or not host.startswith(f"{found.account}."):
        return "AZURE.endpoint", None
    if settings.account not in (None, found.account):
        return "AZURE.endpoint", None
    return "AZURE.endpoint", found.account


def _credentials_at_endpoint(found: dict[str, Any]) -> dict[str, Any]:
    """Returns the credentials of variables without the endpoint that they name."""
    if found.get("connection_string"):
        found = _named(found["connection_string"])[0]
    return {name: value for name, value in found.items() if name in ("account_key", "sas_token")}


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
