"""The type of the fixture `command`, and the variables that lead a command to an S3 server."""

from __future__ import annotations

from collections.abc import Callable

from tests.python_processes import Outcome
from tests.servers.weed import SeaweedFS

__all__ = ["Command", "s3_variables"]

Command = Callable[..., Outcome]


def s3_variables(server: SeaweedFS) -> dict[str, str]:
    """The settings that reach a server."""
    return {
        "DXFLOW_AWS_ENDPOINT": server.endpoint,
        "DXFLOW_AWS_REGION": server.region,
        "DXFLOW_AWS_ACCESS_KEY": server.access_key,
        "DXFLOW_AWS_SECRET_KEY": server.secret_key,
    }
