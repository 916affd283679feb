"""SHA-256 checksums that the engine's machine computes, for `verify = "remote-sha256"`.

An engine has no call for checksums, but it runs shells for keys that may use them. A shell reports neither an exit code
nor output over REST, so the command writes its result into a file of the volume, which is downloaded and deleted. Paths
are arguments of the command and never part of it.

Source: https://github.com/dxflow-ai/docs (04.api/003.shell)
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from secrets import choice
from string import ascii_lowercase, digits
from time import monotonic

from anyio import CancelScope, move_on_after

from dxflow_async.providers import (
    Body,
    Buffer,
    Call,
    ServiceError,
    StallTimeoutError,
    StorageError,
    UnsupportedError,
    read_error_body,
)
from dxflow_async.providers.engine.artifacts import Artifacts
from dxflow_async.providers.engine.names import part_beside
from dxflow_async.providers.engine.requests import Requests

__all__ = ["HashedBody", "RemoteChecksum"]

_SHELLS = "/api/shell/"
_SCRIPT = 'if sum=$(sha256sum < "$1"); then echo "ok ${sum%% *}"; else echo failed; fi > "$2"'
_RESULT = re.compile(rb"ok ([0-9a-f]{64})\n")
_FAILED = b"failed\n"
_ENDED = ("failed", "killed", "exited")

_FIRST_SECONDS, _GROWTH, _LONGEST_SECONDS = 0.05, 1.5, 5.0
"""Seconds between two looks at a shell."""

_PATIENCE_SECONDS = 60.0
_SLOWEST = 20 << 20
"""A checksum may take a minute, and a second for so many bytes."""

_CLEAN_UP_SECONDS = 10.0


class HashedBody:
    """A body whose SHA-256 is computed as it is sent.

    Args:
        body: what is sent.

    Attributes:
        sha256: of the whole body, in hexadecimal; None until all of it was read.
    """

    __slots__ = ("_body", "sha256")

    def __init__(self, body: Body) -> None:
        self._body = body
        self.sha256 = None if body.size else hashlib.sha256().hexdigest()

    @property
    def size(self) -> int:
        return self._body.size

    @property
    def crc32c(self) -> int | None:
        return self._body.crc32c

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        digest = hashlib.sha256()
        async for chunk in self._body:
            digest.update(chunk)
            yield chunk
        self.sha256 = digest.hexdigest()


class RemoteChecksum:
    """Has an engine compute checksums of its files.

    Args:
        requests: sends the requests.
        artifacts: knows where the volume is.
    """

    def __init__(self, requests: Requests, artifacts: Artifacts) -> None:
        self._requests = requests
        self._artifacts = artifacts
        self._tried = asyncio.Lock()
        self._works = False

    async def check(self, call: Call) -> None:
        """Tries once whether the engine runs the command, before anything is uploaded.

        Raises:
            UnsupportedError: it does not; the message says why and what to set.
        """
        async with self._tried:
            if self._works:
                return
            if not (self._artifacts.volume or "").startswith("/"):
                raise self._unsupported(call, "it does not tell where its volume is")
            try:
                found = await self._computed(call, "/dev/null", part_beside("x", dotted=False), 0)
            except StorageError as error:
                if error.retryable and error.status != 500:
                    raise
                raise self._unsupported(call, "it runs no shell for this key, or has no sha256sum") from error
            if found != hashlib.sha256().hexdigest():
                raise self._unsupported(call, "its sha256sum returns something else")
            self._works = True

    async def sha256(self, call: Call, path: str, size: int) -> str:
        """Returns the SHA-256 of a file of the engine, in hexadecimal.

        Args:
            call: the storage call.
            path: its path in the volume.
            size: its size in bytes, which says how long the checksum may take.

        Raises:
            ServiceError: the command did not read the file.
            StallTimeoutError: it did not end in time.
        """
        result = part_beside(path, dotted=False)
        return await self._computed(call, f"{self._artifacts.volume}/{path}", result, size)

    async def _computed(self, call: Call, source: str, result: str, size: int) -> str:
        shell = "dx" + "".join(choice(ascii_lowercase + digits) for _ in range(9))
        arguments = ["-c", _SCRIPT, "sh", source, f"{self._artifacts.volume}/{result}"]
        try:
            document = {"identity": shell, "path": "/bin/sh", "args": arguments}
            await self._requests.answer(call, "POST", _SHELLS, document=document)
            await self._requests.answer(call, "PUT", f"{_SHELLS}execute/", document={"identity": shell})
            return await self._result(call, shell, result, _PATIENCE_SECONDS + size / _SLOWEST)
        finally:
            await self._remove(call, shell, result)

    async def _result(self, call: Call, shell: str, result: str, seconds: float) -> str:
        """Waits for the result. The state of a shell that has ended is not certain, so the file is looked at, too."""
        ends, pause = monotonic() + seconds, _FIRST_SECONDS
        while True:
            state = await self._state(call, shell)
            content = await self._content(call, result)
            if (match := _RESULT.fullmatch(content)) is not None:
                return match[1].decode()
            if content == _FAILED or state in _ENDED:
                raise call.error(ServiceError, "the engine's machine computed no checksum of the upload; try again")
            if monotonic() > ends:
                text = f"the engine's machine computed no checksum within {seconds:.0f} s"
                raise call.error(StallTimeoutError, text)
            await asyncio.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_SECONDS)

    async def _state(self, call: Call, shell: str) -> str:
        shells = await self._requests.answer(call, "GET", _SHELLS)
        found = (each for each in shells.payloads if isinstance(each, dict) and each.get("identity") == shell)
        return str(next(found, {}).get("state", "")).lower()

    async def _content(self, call: Call, path: str) -> bytes:
        """Returns the content of a small file; empty if it is not there."""
        route = f"{self._requests.prefix}download/"
        with suppress(StorageError):
            response = await self._requests.send(call, "GET", route, query=(("identity", path),))
            return await read_error_body(response, 100)
        return b""

    async def _remove(self, call: Call, shell: str, result: str) -> None:
        """Removes the shell and its result, also in a cancelled task."""
        with CancelScope(shield=True), move_on_after(_CLEAN_UP_SECONDS):
            with suppress(StorageError):
                await self._requests.answer(call, "DELETE", _SHELLS, query=(("identity", shell),))
            with suppress(StorageError):
                await self._requests.delete(call, result)

    def _unsupported(self, call: Call, reason: str) -> StorageError:
        text = f'verify = "remote-sha256" does not work at this engine: {reason}; set verify to readback or size'
        return call.error(UnsupportedError, text)
