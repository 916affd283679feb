"""The commands `cat` and `tail`."""

from __future__ import annotations

import asyncio
import sys
from base64 import b64encode
from contextlib import aclosing, suppress
from typing import Annotated

from cyclopts import Parameter

from dxflow_async.cli.byte_streams import ByteStream, find_stream
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.places import Place, check_given, check_locations, found_places, places_of
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.standard_streams import check_output
from dxflow_async.cli.status import PLACE_ERRORS, Failures, complain
from dxflow_async.exceptions import (
    ConfigurationError,
    NotFoundError,
    PreconditionFailedError,
    SourceChangedError,
    StorageError,
    UnitNotFoundError,
)
from dxflow_async.session import AsyncSession

__all__ = ["cat", "tail"]

_DIRECT = Account()
_TAIL_BYTES = 64 * 1024
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
"""Seconds between two looks at a file that is followed; they double while it does not grow."""

_MAX_CHANGES = 5

Follow = Annotated[Flag, Parameter(name=["--follow", "-f"])]
Lines = Annotated[int, Parameter(name=["--lines", "-n"])]


def cat(
    *locations: str,
    start: int | None = None,
    end: int | None = None,
    json: Flag = False,
    public: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """Write the bytes of objects to standard output, one after the other.

    Args:
        locations: Objects and patterns; also pipes and devices, and - for standard input.
        start: The first byte of each, counted from 0.
        end: The byte before which to stop.
        json: Print JSON objects with the bytes in base64.
        public: The locations are in the account's public storage.
    """
    streams = {each: find_stream(each) for each in check_given(locations)}
    places = [each for each, stream in streams.items() if stream is None]

    async def show(session: AsyncSession) -> int:
        failures = Failures(json=json)
        if places:
            await check_locations(session, places, public=public)
        for location in locations:
            if (stream := streams[location]) is not None:
                try:
                    await _print_stream(stream, start or 0, end, json=json)
                    failures.note_success()
                except PLACE_ERRORS as error:
                    failures.add(error)
                continue
            async for place in places_of(session, (location,), failures, public=public):
                try:
                    await _print(place, start, end, json=json)
                except PLACE_ERRORS as error:
                    failures.add(error)
        sys.stdout.buffer.flush()
        return failures.status

    return with_session(account, show, places=places)


def tail(
    location: str,
    *,
    lines: Lines = 10,
    follow: Follow = False,
    json: Flag = False,
    public: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """Print the last lines of an object, and follow it as it grows.

    Args:
        location: An object, written aws:/bucket/key, unit:/NAME/path or ./path.
        lines: How many lines to print.
        follow: Go on printing what is appended, until Ctrl-C. A file that became shorter is printed from its
            beginning.
        json: Print JSON objects with the bytes in base64.
        public: The location is in the account's public storage.
    """
    if lines < 0:
        raise ConfigurationError(f"--lines = {lines} is not allowed; it must be at least 0")

    async def show(session: AsyncSession) -> int:
        failures = Failures(json=json)
        if follow:
            await _check_one(session, location, public=public)
        async for place in places_of(session, (location,), failures, public=public):
            try:
                await _check_no_directory(place)
                size = (await place.storage.stat(place.path)).size
                _write(place.location, await _last_lines(place, size, lines), json=json)
                if follow:
                    await follow_file(place, size, json=json)
            except PLACE_ERRORS as error:
                failures.add(error)
        return failures.status

    return with_session(account, show, places=(location,))


async def _check_one(session: AsyncSession, location: str, *, public: bool) -> None:
    """Refuses a pattern that matches several objects.

    Raises:
        ConfigurationError: it does.
    """
    with suppress(StorageError, UnitNotFoundError):
        count = len([None async for _ in found_places(session, (location,), public=public)])
        if count > 1:
            raise ConfigurationError(f"{location} matches {count} objects; --follow follows one: write its name")


async def _print(place: Place, start: int | None, end: int | None, *, json: bool) -> None:
    try:
        async with place.storage.read(place.path, start, end) as chunks:
            async for chunk in chunks:
                _write(place.location, chunk, json=json)
    except NotFoundError:
        await _check_no_directory(place)
        raise


async def _print_stream(stream: ByteStream, start: int, end: int | None, *, json: bool) -> None:
    at = 0
    async with aclosing(stream.chunks()) as chunks:
        async for chunk in chunks:
            wanted = chunk[max(0, start - at) : None if end is None else max(0, end - at)]
            at += len(chunk)
            if wanted:
                _write(stream.shown, wanted, json=json)
            if end is not None and at >= end:
                return


async def _check_no_directory(place: Place) -> None:
    with suppress(StorageError):
        if (await place.storage.stat(place.path)).directory:
            raise ConfigurationError(f"{place.location} is a directory; write the name of a file or object in it")


async def _last_lines(place: Place, size: int, lines: int) -> bytes:
    """Returns the last lines of the first `size` bytes of an object. It reads more and more of the end."""
    if not lines or not size:
        return b""
    wanted = _TAIL_BYTES
    while True:
        start = max(0, size - wanted)
        text = await _range(place, start, size)
        ends = text.removesuffix(b"\n").count(b"\n")
        if ends >= lines or not start:
            return b"\n".join(text.removesuffix(b"\n").split(b"\n")[-lines:]) + text[len(text.removesuffix(b"\n")) :]
        wanted *= 4


async def follow_file(place: Place, size: int, *, json: bool) -> None:
    """Prints what is appended to a file, until it is cancelled.

    Args:
        place: the file.
        size: how many of its bytes were printed.
        json: whether to print JSON lines.
    """
    wait = _FIRST_WAIT
    while True:
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)
        try:
            found = (await place.storage.stat(place.path)).size
            if found < size:
                complain(f"{place.location} became shorter: it is printed from its beginning")
                size = 0
            if found > size:
                # Pieces keep memory small, whatever was appended.
                while size < found:
                    end = min(found, size + 16 * _TAIL_BYTES)
                    _write(place.location, await _range(place, size, end), json=json)
                    size = end
                wait = _FIRST_WAIT
        except (NotFoundError, PreconditionFailedError, SourceChangedError):
            continue  # it is being replaced: the next look shows the new one


async def _range(place: Place, start: int, end: int) -> bytes:
    """Returns a range of an object. One that changes while it is read is read again a few times."""
    for attempt in range(_MAX_CHANGES):
        try:
            async with place.storage.read(place.path, start, end) as chunks:
                return b"".join([chunk async for chunk in chunks])
        except SourceChangedError:
            if attempt == _MAX_CHANGES - 1:
                raise
            await asyncio.sleep(_FIRST_WAIT / 5)
    raise AssertionError


def _write(location: str, data: bytes, *, json: bool) -> None:
    check_output()
    if json:
        print_json("data", {"location": location, "base64": b64encode(data).decode()})
        sys.stdout.flush()
        return
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
