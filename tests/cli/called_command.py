"""The type of the fixture `command`, and the variables that lead a command to an S3 server."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from jsonschema_rs import Draft202012Validator

import dxflow_async
from tests.python_processes import Outcome
from tests.servers.weed import SeaweedFS

__all__ = ["Command", "check_json_lines", "s3_variables"]

Command = Callable[..., Outcome]


def s3_variables(server: SeaweedFS) -> dict[str, str]:
    """The settings that reach a server."""
    return {
        "DXFLOW_AWS_ENDPOINT": server.endpoint,
        "DXFLOW_AWS_REGION": server.region,
        "DXFLOW_AWS_ACCESS_KEY": server.access_key,
        "DXFLOW_AWS_SECRET_KEY": server.secret_key,
    }


def check_json_lines(text: str) -> None:
    """Asserts that each line is as the documented schema says."""
    for line in text.splitlines():
        _validator().validate(json.loads(line))


@cache
def _validator() -> Draft202012Validator:
    path = Path(dxflow_async.__file__).parent / "docs" / "json.schema.json"
    return Draft202012Validator(json.loads(path.read_text("utf-8")))
