from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dxflow_async.exceptions import NetworkError
from dxflow_async.providers.contract import Features
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.request import request
from dxflow_async.transfer.retry import RetryPolicy

if TYPE_CHECKING:
    from dxflow_async.providers.contract import Provider


class Network:
    """What a limit looks at."""

    name = "AWS"
    features = Features(endpoint="here")


async def test_a_request_by_itself() -> None:
    """It is in flight while it is made, and between two tries it is not."""
    provider, limits = cast("Provider", Network()), Limits(8, 1 << 20)
    limit = limits.requests(provider)
    assert limit is not None
    seen = []

    async def operation() -> str:
        seen.append(limit.in_flight)
        if len(seen) == 1:
            raise NetworkError("reset")
        return "answer"

    async def sleep(_: float) -> None:
        seen.append(limit.in_flight)

    assert await request(operation, provider, limits=limits, policy=RetryPolicy(sleep=sleep)) == "answer"
    assert seen == [1, 0, 1]
    assert limit.in_flight == 0
