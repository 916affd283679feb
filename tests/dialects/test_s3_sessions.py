"""Whole sessions at S3 servers that differ from Amazon's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialects.s3_round import open_session, play
from tests.dialects.s3_server import Request, S3Server
from tests.dialects.s3_subject import PART_SIZE
from tests.dialects.s3_switches import NEVER_LEARNED, REFUSED, SWITCHES

_EXISTS = [("HeadObject", 404)]
_SLACK = 4
"""Requests more in the second round: a busy machine may look or read once more."""


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
        assert [(request.operation, request.status) for request in refused] == REFUSED.get(switch, _EXISTS)
        # How often the engine looks at an object depends on when its parts end.
        looks = [request.operation == "HeadObject" or _is_first_byte(request) for request in server.requests]
        assert looks[learned:].count(False) <= looks[:learned].count(False) + _SLACK


def _is_first_byte(request: Request) -> bool:
    return request.headers.get("range") == "bytes=0-0"
