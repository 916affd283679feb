"""When checksums are sent and compared, as the configuration of the AWS SDKs says it.

Our own setting counts first, then the environment variable, then the profile. Where the settings name keys and an
endpoint, the SDK is not loaded, and no profile is read.

Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-dataintegrity.html
"""

from __future__ import annotations

import os
from typing import NamedTuple

from dxflow_async.config.settings import AWSSettings
from dxflow_async.config.validation import not_allowed
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.aws.credentials import CloudCredentials

__all__ = ["ChecksumSettings", "load_checksum_settings"]

_VALUES = ("when_supported", "when_required")


class ChecksumSettings(NamedTuple):
    """Which checksums are used beyond those that S3 requires.

    Attributes:
        sent: bodies carry a CRC32C; otherwise a `Content-MD5`, which is older than the SDKs' checksums and which every
            service takes.
        compared: reads ask for the object's checksum and compare it.
    """

    sent: bool
    compared: bool


async def load_checksum_settings(settings: AWSSettings, identity: CloudCredentials) -> ChecksumSettings:
    """Returns what the settings, the environment and the profile say.

    Raises:
        ConfigurationError: a value is neither `when_supported` nor `when_required`.
    """
    sent = await _load("request_checksum_calculation", settings, identity)
    compared = await _load("response_checksum_validation", settings, identity)
    return ChecksumSettings(sent != "when_required", compared != "when_required")


async def _load(name: str, settings: AWSSettings, identity: CloudCredentials) -> str:
    own: str | None = getattr(settings, name)
    if own is not None:
        return own
    variable = f"AWS_{name.upper()}"
    where, value = variable, os.environ.get(variable)
    if value is None:
        where, value = f"{name} of the AWS SDK's configuration", await identity.sdk_setting(name)
    if value is None:
        return _VALUES[0]
    found = value.strip().lower()
    if found not in _VALUES:
        raise ConfigurationError(not_allowed(where, value, " or ".join(_VALUES)))
    return found
