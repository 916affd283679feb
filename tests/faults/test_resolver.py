"""Names that cannot be resolved for a while."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from dxflow_async.exceptions import NetworkError
from tests.faults.proxied_providers import Site
from tests.sessions import SPEED_UP

_log = logging.getLogger("tests.faults")


class Resolving(asyncio.SelectorEventLoop):
    """A loop whose resolver knows nothing for a while.

    Attributes:
        until: when it knows names again.
        failed: how often it did not.
    """

    until = 0.0
    failed = 0

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        if monotonic() < self.until:
            self.failed += 1
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return await super().getaddrinfo(host, port, **options)


def resolving(test: Callable[[Resolving], Coroutine[Any, Any, None]]) -> None:
    """Runs a test on such a loop."""
    with asyncio.Runner(loop_factory=Resolving) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Resolving)
        runner.run(test(loop))


def through_a_name(site: Site) -> str:
    return site.origin.replace("127.0.0.1", "localhost")


def test_resolver_that_fails_for_a_while(aws: Site, tmp_path: Path) -> None:
    """Five seconds without names are outlived with the settings that everybody has."""
    (tmp_path / "file").write_bytes(b"content")

    async def test(loop: Resolving) -> None:
        loop.until = monotonic() + 5.0 / SPEED_UP
        async with aws.session(tmp_path / "home", through_a_name(aws)) as session:
            (result,) = await (await aws.storage(session)).upload(tmp_path / "file", aws / "file")
        _log.warning("%d attempts while %d look-ups failed", result.attempts, loop.failed)
        assert loop.failed >= 2
        assert 2 < result.attempts <= 10

    resolving(test)


def test_resolver_that_fails_for_good(site: Site, tmp_path: Path) -> None:
    """A name that nobody knows is an error of the network, after the allowed attempts, and says so."""

    async def test(loop: Resolving) -> None:
        loop.until = float("inf")
        async with site.session(tmp_path / "home", through_a_name(site), max_attempts=3) as session:
            with pytest.raises(NetworkError, match=r"could not find the host localhost .*name resolution"):
                await (await site.storage(session)).exists(site / "file")
        assert loop.failed == 3

    resolving(test)
