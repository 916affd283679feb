"""The account that the tests of units sign in to, and the registration of a unit there."""

from __future__ import annotations

from dxflow_async.compute.manager import AsyncComputeManager
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.server.common.unit_secrets import UnitSecrets
from tests.server.running_hub import SECRETS

__all__ = ["ACCOUNT", "register"]

ACCOUNT = ("you@example.com", "password")


async def register(
    compute: AsyncComputeManager, name: str, url: str, secrets: UnitSecrets = SECRETS
) -> AsyncComputeUnit:
    """A unit of that name, known to the hub."""
    return await compute.register(name, url, rw_secret=secrets.rw, ro_secret=secrets.ro)
