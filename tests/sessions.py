"""Settings and looks behind the back of a session, for tests against SeaweedFS."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from dxflow_async import AsyncSession, AWSSettings, Settings
from tests.servers import S3Server

__all__ = ["SPEED_UP", "MiB", "open_files", "part_files", "retry_soon", "settings_for", "tasks", "unfinished_uploads"]

MiB = 1 << 20

SPEED_UP = 20
"""How much shorter the waits between attempts are in tests of faults."""


def settings_for(server: S3Server, home: Path, *, endpoint: str | None = None, **options: Any) -> Settings:
    """Settings of a session that works with the server itself, or through `endpoint`."""
    aws = AWSSettings(
        endpoint=server.endpoint if endpoint is None else endpoint,
        region=server.region,
        access_key=server.access_key,
        secret_key=server.secret_key,
    )
    return Settings(home=home, aws=aws, **options)


def retry_soon(session: AsyncSession) -> None:
    """Make the waits between attempts a twentieth of what they are in use; what Retry-After asks for stays."""
    policy = session._resources.policy
    session._resources.policy = replace(
        policy, first_wait=policy.first_wait / SPEED_UP, longest_wait=policy.longest_wait / SPEED_UP
    )


def unfinished_uploads(server: S3Server, bucket: str) -> list[str]:
    """The keys of multipart uploads that were neither finished nor removed."""
    return [upload["Key"] for upload in server.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


def part_files(directory: Path) -> list[str]:
    """Temporary files of downloads."""
    return [str(path) for path in directory.rglob("*.dxpart")]


def tasks() -> set[asyncio.Task[Any]]:
    """All tasks of the loop but this one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


def open_files(directory: Path) -> list[str]:
    """The files below a directory that this process has open."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(each)
        except FileNotFoundError:
            continue
        if target.startswith(str(directory)):
            found.append(target)
    return found
