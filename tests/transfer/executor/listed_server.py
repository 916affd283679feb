"""An S3 server with objects in short pages, whose listings are long enough to be shared out."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dxflow_async import AsyncSession, Settings
from dxflow_async.transfer.executor.shard import Shard
from tests.dialects.s3_exchange import Answer, Ask
from tests.dialects.s3_operations import Operation
from tests.dialects.s3_quirks import Quirks
from tests.dialects.s3_server import S3Server
from tests.dialects.s3_subject import aws_settings
from tests.transfer.executor.losing_executor import LosingExecutor

__all__ = ["COUNT", "PAGE", "SHAPES", "ListedServer", "cuts_of", "know_order", "opened", "ranges"]

_RANDOM = random.Random(17)
_TOKEN = re.compile(rb"<NextContinuationToken>[^<]*</NextContinuationToken>")

COUNT, PAGE = 60, 4
"""Objects of most shapes, and of a page: the coordinator lists the first three pages, and workers the others."""

SHAPES = {
    "flat": [f"file-{number:05}.bin" for number in range(COUNT)],
    "digests": [f"{_RANDOM.getrandbits(64):016x}" for _ in range(COUNT)],
    "deep": [f"run-{n // 20}/step-{n // 4 % 5}/rank-{n % 4}.npy" for n in range(COUNT)],
    "one directory": [f"a{n}" for n in range(8)] + [f"hot/t{n:06}.nc" for n in range(50)] + ["z/1", "z/2"],
    "odd": [
        *(chr(code) + f"/{n}" for code in (0x2B, 0x25, 0xE9, 0x4E00, 0x1F600) for n in range(20)),
        *(f"dir{n}" for n in range(8)),
        *(f"dir{n}/" for n in range(5)),
        *(f"dir{n}/dir" for n in range(5)),
        " ",
        "a" * 900,
    ],
}
"""Names of objects."""


class ListedServer(S3Server):
    """An S3 server whose listings begin, from a key, where `mode` says.

    Attributes:
        cuts: says of a listing that follows a key whether it ends after its first page.
    """

    mode = "honoured"
    cuts: Callable[[str], bool] = staticmethod(lambda _: False)

    def _answer(self, operation: Operation, ask: Ask) -> Answer:
        after = ask.query.get("start-after")
        if after is not None and self.mode != "honoured":
            query = dict(ask.query)
            if self.mode == "ignored":
                del query["start-after"]
            elif self.mode == "empty":
                query["start-after"] = "\U0010ffff"
            elif after not in self.objects():
                # The content of a directory is left out if its bare name is requested, and some more.
                query["start-after"] = sorted(key for key in (*self.objects(), after) if key >= after)[:7][-1]
            ask = replace(ask, query=query)
        answer = super()._answer(operation, ask)
        if after is not None and self.cuts(after):
            answer.body = _TOKEN.sub(b"", answer.body).replace(b">true</IsTruncated>", b">false</IsTruncated>")
        return answer


def cuts_of(pool: LosingExecutor, *, last: bool = False) -> Callable[[str], bool]:
    """Says which listings are those of a worker, or of the last range only, whose end no other range sees; once each.

    The listing that confirms an end begins at another key.
    """
    cut = set[str]()

    def cuts(after: str) -> bool:
        spans = [shard.listing or shard.range for shard in list(pool.shards)]
        if after in cut or not any(
            span and span.low == f"bucket/{after}" and not (last and span.high) for span in spans
        ):
            return False
        cut.add(after)
        return True

    return cuts


@asynccontextmanager
async def opened(home: Path, names: list[str], **options: Any) -> AsyncIterator[tuple[ListedServer, AsyncSession]]:
    """A server with objects below `source/`, in short pages, and a session with it."""
    async with ListedServer(Quirks(page_size=PAGE)) as server:
        for name in names:
            server.store(f"source/{name}", name.encode())
        server.store("source0", b"no part of it")
        async with AsyncSession(settings=Settings(home=home, aws=aws_settings(server), **options)) as session:
            await know_order(session, "aws:/bucket/source/")
            yield server, session


def ranges(pool: LosingExecutor) -> list[Shard]:
    """The shards that were ranges of keys."""
    return [shard for shard in pool.shards if shard.range is not None]


async def know_order(session: AsyncSession, location: str) -> None:
    """Lets a session take a server of this machine for a service that is known to list in the order of its keys."""
    area = (await session._resolver.resolve(location, "private")).area
    assert area is not None
    area.provider.features = replace(area.provider.features, key_order=True)
