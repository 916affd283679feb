"""What a provider shares with its views: those for a customer's key, or for one version of an object."""

from __future__ import annotations

from dataclasses import dataclass

from dxflow_async.providers.contract import Features

__all__ = ["Known"]


@dataclass(slots=True)
class Known:
    """What is known of a service, for a provider and all of its views."""

    features: Features
