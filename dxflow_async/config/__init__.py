"""Settings: defaults, the configuration file, environment variables and arguments."""

from __future__ import annotations

from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings, Settings

__all__ = ["AWSSettings", "AzureSettings", "GCPSettings", "Settings"]
