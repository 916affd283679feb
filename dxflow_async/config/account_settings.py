"""The settings of a remote that a hub keeps with an account, and when they may be used on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dxflow_async.config.clouds import AzureSettings, CloudSettings, GCSSettings, S3Settings
from dxflow_async.config.connection_string import parse_connection_string
from dxflow_async.config.settings import Settings
from dxflow_async.config.validation import SECRETS
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret

__all__ = ["from_account", "with_account"]

_CLASSES: Mapping[str, type[CloudSettings]] = {"AWS": S3Settings, "AZURE": AzureSettings, "GCP": GCSSettings}


def with_account(settings: Settings, provider: str, given: Mapping[str, Any]) -> Settings:
    """Returns settings in which a provider is as the account has it at its hub, unless this machine configures it.

    Raises:
        ConfigurationError: the account's settings cannot be used. This machine's own credentials are never sent to an
            endpoint that a hub names.
    """
    section = provider.lower()
    if getattr(settings, section).configured:
        return settings
    changed: dict[str, Any] = {section: from_account(provider, given)}
    return replace(settings, **changed)


def from_account(provider: str, given: Mapping[str, Any]) -> CloudSettings:
    """Makes settings from what a hub gives for a provider.

    A connection string is taken apart, so that the endpoint and the credentials that requests will use can be checked:
    an endpoint that a hub names is used with credentials that it gives, or not at all.

    Raises:
        ConfigurationError: as for `with_account`.
    """
    section = provider.lower()
    values: dict[str, Any] = {
        name: Secret(value) if name in SECRETS and isinstance(value, str) else value for name, value in given.items()
    }
    odd = next((name for name, value in values.items() if not isinstance(value, str | bool)), None)
    if odd is not None:
        raise ConfigurationError(f"the account's settings of {provider} cannot be used here: {odd} is no text")
    if "connection_string" in values:
        values |= parse_connection_string(values.pop("connection_string"))
    if "service_file" in values:
        values["service_file"] = Path(values["service_file"])
    try:
        made = _CLASSES[provider](**values)
    except TypeError as error:
        reason = str(error)
    else:
        if made.endpoint is None or _has_credentials(made):
            return made
        reason = (
            f"they name the endpoint {made.endpoint} without credentials of its own, and this machine's are "
            f"not sent there; set {section}.endpoint here, if you trust it"
        )
    raise ConfigurationError(f"the account's settings of {provider} cannot be used here: {reason}")


def _has_credentials(settings: CloudSettings) -> bool:
    """Whether all credentials that requests will use stand in the settings themselves, or requests use none."""
    if settings.anonymous:
        return True
    match settings:
        case S3Settings():
            return settings.access_key is not None and settings.profile is None
        case AzureSettings():
            return settings.account_key is not None or settings.sas_token is not None
    return False  # a service account's file is this machine's
