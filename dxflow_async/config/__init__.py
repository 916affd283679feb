"""Settings: defaults, the configuration file, environment variables and arguments."""

from __future__ import annotations

from dxflow_async.config.clouds import AWSSettings, AzureSettings, GCPSettings, GCSSettings, S3Settings
from dxflow_async.config.credentials import AccessKeys, BearerToken, SASToken
from dxflow_async.config.settings import Settings

__all__ = [
    "AWSSettings",
    "AccessKeys",
    "AzureSettings",
    "BearerToken",
    "GCPSettings",
    "GCSSettings",
    "S3Settings",
    "SASToken",
    "Settings",
]
