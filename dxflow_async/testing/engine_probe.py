"""Asks a dxflow engine one thing at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from secrets import token_hex
from time import monotonic
from typing import Any, NamedTuple

from dxflow_async.exceptions import StorageError
from dxflow_async.providers import Body, Call, Entry, HTTPReader
from dxflow_async.providers.engine.envelope import Answer
from dxflow_async.providers.engine.provider import EngineProvider
from dxflow_async.testing.bodies import body

__all__ = ["Answered", "Matter", "Probe"]

_MAX_BODY = 64 << 10
_LONGEST_DELAY = 5.0


class Answered(NamedTuple):
    """An answer as it came.

    Attributes:
        status: 0: there was none.
        headers: of a success; their names are in small letters.
        body: its beginning.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Probe:
    """Asks an engine one thing at a time, in a directory of its own.

    Attributes:
        delay: seconds until an upload is listed; 0: it is at once.
    """

    def __init__(self, provider: EngineProvider) -> None:
        self.provider = provider
        self.delay = 0.0
        self.folder = f"dxflow-async-probe-{token_hex(4)}"
        self.call = Call("ENGINE", "probe", f"/{self.folder}/")

    async def ask(self, method: str, route: str = "", *, document: Any = None, **query: str) -> tuple[int, Answer]:
        """Returns the status of an answer, and the answer; status 0: the answer is not an envelope."""
        requests = self.provider.requests
        try:
            answer = await requests.artifacts(self.call, method, route, query=tuple(query.items()), document=document)
        except StorageError as error:
            return error.status or 0, Answer()
        return 200, answer

    async def measure_delay(self) -> None:
        """Learns how late uploads are listed, which everything else has to wait for."""
        await self.upload("seen.txt", b"12345", force="true")
        began, waited = monotonic(), 0.0
        while await self.size("seen.txt") != 5:
            await asyncio.sleep(0.02)
            waited = monotonic() - began
            if waited > _LONGEST_DELAY:
                return  # it lists no such file, which the table shows
        self.delay = waited

    async def upload(self, name: str, data: bytes, *, force: str) -> int:
        """Uploads a file as an engine's own tool does, and waits until it can be listed; returns the status."""
        requests = self.provider.requests
        try:
            response = await requests.send(
                self.call,
                "PUT",
                f"{requests.prefix}upload/",
                query=(("identity", self.path(name)), ("force", force)),
                headers={"content-type": "application/octet-stream"},
                body=body(data),
            )
        except StorageError as error:
            return error.status or 0
        response.close()
        await asyncio.sleep(2 * self.delay)
        return response.status

    def path(self, name: str) -> str:
        """Returns the path of a name in the directory."""
        return f"{self.folder}/{name}"

    async def size(self, name: str) -> int | None:
        """Returns the size of a file; None where the engine does not list it."""
        parent, _, last = self.path(name).rpartition("/")
        _, answer = await self.ask("GET", directory=parent, all="true", depth="0")
        found = [each for each in answer.payloads if isinstance(each, dict) and each.get("name") == last]
        return int(found[0].get("size", -1)) if found else None

    async def names(self, **query: str) -> list[str]:
        """Returns the names that a listing of the directory has."""
        _, answer = await self.ask("GET", directory=self.folder, **query)
        return [str(each.get("name")) for each in answer.payloads if isinstance(each, dict)]

    async def rename(self, old: str, new: str) -> int:
        """Renames a name; returns the status."""
        document = {"identity": self.path(old), "new_identity": self.path(new)}
        return (await self.ask("PUT", "rename/", document=document))[0]

    async def create(self, name: str) -> int:
        """Makes a directory; returns the status."""
        document = {"identity": self.path(name), "directory": True, "force": False}
        return (await self.ask("POST", document=document))[0]

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Answered:
        """Returns an answer as it came, with at most the beginning of its body.

        Args:
            method, path: of the request; a path without `/api/` is one of the storage.
            query, headers, body: what it has.
        """
        requests = self.provider.requests
        path = path if path.startswith("/api/") else requests.prefix + path
        try:
            response = await requests.send(self.call, method, path, query=query, headers=headers, body=body)
            data = bytearray()
            async with HTTPReader(Entry(""), -1, requests.http, self.call, response) as reading:
                while len(data) < _MAX_BODY and (piece := await reading.read()):
                    data += piece
        except StorageError as error:
            return Answered(error.status or 0, {}, b"")
        return Answered(response.status, response.headers, bytes(data))

    async def entity(self, name: str) -> dict[str, Any]:
        """Returns what a listing of the directory has of a name; an empty one where it has none."""
        _, answer = await self.ask("GET", directory=self.folder, all="true", depth="0")
        found = [each for each in answer.payloads if isinstance(each, dict) and each.get("name") == name]
        return found[0] if found else {}


class Matter(NamedTuple):
    """Something that is asked.

    Attributes:
        name: as the table has it.
        look: asks, and returns what the engine does.
        assumed: how that begins where it is what the documentation says, or the client assumes first.
        others: how it begins where it is another behaviour that the client knows.
    """

    name: str
    look: Callable[[Probe], Awaitable[str]]
    assumed: str
    others: tuple[str, ...]
