"""Whole sessions at S3 servers that differ from Amazon's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialects.s3_round import open_session, play
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.dialects.s3_switches import NEVER_LEARNED, SWITCHES


@pytest.mark.parametrize("switch", list(SWITCHES))
async def test_session(switch: str, tmp_path: Path) -> None:
    """Every verb does what it says and leaves nothing behind; a limit that was met once costs no further request."""
    async with (
        S3Server(SWITCHES[switch], min_part_size=PART_SIZE) as server,
        open_session(server, tmp_path / "home") as session,
    ):
        await play(session, server, tmp_path, "first")
        if switch in NEVER_LEARNED:
            return
        learned = len(server.requests)
        await play(session, server, tmp_path, "second")
        refused = server.refused(learned)
        assert [(request.operation, request.status) for request in refused] == [("HeadObject", 404)]  # `exists`
        first, second = server.operations(), server.operations(learned)
        # How often the engine looks at an object depends on when its parts end.
        assert second.total() - second["HeadObject"] <= (first.total() - first["HeadObject"]) // 2
