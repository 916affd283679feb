"""Settings: defaults, the configuration file, environment variables and arguments."""

from __future__ import annotations

from dxflow_async.config.clouds import AWSSettings, AzureSettings, GCPSettings, GCSSettings, S3Settings
from dxflow_async.config.settings import Settings

__all__ = ["AWSSettings", "AzureSettings", "GCPSettings", "GCSSettings", "S3Settings", "Settings"]
