"""An account's settings for its providers, with credentials: encrypted at rest, and returned to their owner only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dxflow_async.config.account_settings import from_account
from dxflow_async.config.loader import fields_of
from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings
from dxflow_async.config.validation import key_for_path
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import holds_key
from dxflow_async.server.hub.database import Store
from dxflow_async.server.hub.vault import Vault

__all__ = ["ProviderSettings", "check_settings", "settings_schema"]

_CLASSES: dict[str, type[AWSSettings | AzureSettings | GCPSettings]] = {
    "AWS": AWSSettings,
    "AZURE": AzureSettings,
    "GCP": GCPSettings,
}
# A path on the client's machine, which the hub does not look at.
_NOT_LOOKED_AT = {"service_file"}
_MAX_TEXT = 8192


class ProviderSettings:
    """The provider settings of all accounts.

    Args:
        store: the hub's database.
        vault: encrypts the settings.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def all_of(self, account: str) -> dict[str, dict[str, Any]]:
        """Returns an account's settings by provider, with credentials in clear text."""
        return await self._store.run(self._all_of, account)

    async def set(self, account: str, provider: str, settings: Mapping[str, Any]) -> None:
        """Stores the settings of one provider, and replaces earlier ones.

        Raises:
            ConfigurationError: a setting is not allowed; the message never has its value.
        """
        check_settings(provider, settings)
        await self._store.run(self._set, account, provider, dict(settings))

    async def forget(self, account: str, provider: str) -> bool:
        """Deletes the settings of one provider, and returns whether there were any."""
        return await self._store.run(self._forget, account, provider)

    def _all_of(self, account: str) -> dict[str, dict[str, Any]]:
        with self._store.reading() as database:
            rows = database.execute(
                "SELECT provider, settings FROM providers WHERE account = ? ORDER BY provider", (account,)
            ).fetchall()
        return {provider: self._vault.open(_place(account, provider), sealed) for provider, sealed in rows}

    def _set(self, account: str, provider: str, settings: dict[str, Any]) -> None:
        sealed = self._vault.seal(_place(account, provider), settings)
        with self._store.transaction() as database:
            database.execute("INSERT OR REPLACE INTO providers VALUES (?, ?, ?)", (account, provider, sealed))

    def _forget(self, account: str, provider: str) -> bool:
        with self._store.transaction() as database:
            return (
                database.execute(
                    "DELETE FROM providers WHERE account = ? AND provider = ?", (account, provider)
                ).rowcount
                > 0
            )


def check_settings(provider: str, settings: Mapping[str, Any]) -> None:
    """Refuses invalid settings of a provider.

    Raises:
        ConfigurationError: a setting is not allowed; the message never has its value.
    """
    cls = _CLASSES.get(provider)
    if cls is None:
        raise ConfigurationError(f"provider is not allowed; it must be one of {', '.join(_CLASSES)}")
    kinds = {each.name: each.kind for each in fields_of(cls)}
    for name, value in settings.items():
        if name not in kinds:
            raise ConfigurationError(f"{provider} has no such setting; known are {', '.join(kinds)}")
        wanted = bool if kinds[name] == "bool" else str
        if not isinstance(value, wanted) or len(str(value)) > _MAX_TEXT:
            raise ConfigurationError(f"{provider}.{name} is not allowed; it must be {wanted.__name__}")
        if name in _NOT_LOOKED_AT and (holds_key(str(value)) or not str(value).strip()):
            raise ConfigurationError(key_for_path(f"{provider}.{name}"))
    try:
        from_account(provider, {name: value for name, value in settings.items() if name not in _NOT_LOOKED_AT})
    except ConfigurationError as error:
        # Its message may contain the value.
        name = str(error).partition(" ")[0]
        name = name if name.startswith(f"{provider}.") else f"{provider}.endpoint without credentials"
        reason = f"{name} is not allowed, or does not go with the others"
    else:
        return
    raise ConfigurationError(reason)


def settings_schema(provider: str) -> dict[str, Any]:
    """Returns what `check_settings` accepts, as a JSON schema."""
    kinds = {each.name: each.kind for each in fields_of(_CLASSES[provider])}
    text = {"type": "string", "minLength": 1, "maxLength": _MAX_TEXT}
    properties = {name: {"type": "boolean"} if kind == "bool" else text for name, kind in kinds.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _place(account: str, provider: str) -> str:
    return f"settings {account} {provider}"
