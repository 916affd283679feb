"""The requests of tus 1.0.0.

Source: https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

from dxflow_async.exceptions import AccessDeniedError, NetworkError, NotFoundError, ServiceError, StorageError
from dxflow_async.modes import format_mode
from dxflow_async.providers.common.confirm import contradiction, not_the_service
from dxflow_async.providers.common.fields import timestamp_of
from dxflow_async.providers.common.mtime import format_mtime
from dxflow_async.providers.common.verified_body import VerifiedBody
from dxflow_async.providers.contract import Body, Buffered, Entry, ObjectOptions
from dxflow_async.providers.http import Call
from dxflow_async.providers.unit.body_limit import BodyLimit
from dxflow_async.providers.unit.creation import Creation
from dxflow_async.providers.unit.protocol import Announced, checksum_text, file_metadata, metadata_header
from dxflow_async.providers.unit.requests import Requests, TusAnswer
from dxflow_async.providers.unit.stat import Looks
from dxflow_async.providers.unit.unanswered import settled
from dxflow_async.security.redaction import Secret

__all__ = ["Tus", "offset_of"]

_MAX_CONCAT_SIZE = 7 << 10
"""The longest list of addresses in one header, in bytes. nginx and others accept lines of 8 KiB."""

_BYTES = {"content-type": "application/offset+octet-stream"}
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between attempts to terminate an upload that the server believes is still being written."""


class Tus:
    """The requests of the protocol for one provider.

    Args:
        requests: sends them.
        announced: what the server can do.
        limit: the largest body of a request.
        looks: looks at stored files.
        checksum_of: returns the CRC32C of a file, which it reads if it must.
        creation: whether the server checks that a file replaces nothing.
    """

    def __init__(
        self,
        requests: Requests,
        announced: Announced,
        limit: BodyLimit,
        looks: Looks,
        checksum_of: Callable[[Entry], Awaitable[int]],
        creation: Creation,
    ) -> None:
        self.announced = announced
        self.creation = creation
        self.limit = limit
        self._requests = requests
        self._looks = looks
        self._checksum_of = checksum_of
        self._address_size: int | None = None
        self._place: int | None = None  # which of `likely_addresses` is the right one

    @property
    def repeats_safely(self) -> bool:
        """Whether the server knows a repeated request that makes a file of parts, and answers it as before."""
        return self._requests.echoes

    @property
    def stall_timeout(self) -> float:
        """Seconds for which a locked upload is waited for."""
        return self._requests.http.stall_timeout

    def metadata(self, call: Call, key: str, options: ObjectOptions, crc32c: int | None = None) -> dict[str, str]:
        """Returns the metadata of a file, with time, mode and checksum if the server understands them."""
        pairs = file_metadata(call, key)
        if options.modified is not None and "mtime" in self.announced.ours:
            pairs["mtime"] = format_mtime(options.modified)
        if options.mode is not None and "mode" in self.announced.ours:
            pairs["mode"] = format_mode(options.mode)
        if crc32c is not None and self.announced.checks_files:
            pairs["checksum"] = checksum_text(crc32c)
        if self.creation.wanted(options):
            pairs["absent"] = "true"
        return pairs

    async def create(self, call: Call, size: int, metadata: Mapping[str, str], *, partial: bool = False) -> str:
        """Creates an upload and returns its address."""
        headers = {"upload-length": str(size)}
        if metadata:
            headers["upload-metadata"] = metadata_header(metadata)
        if partial:
            headers["upload-concat"] = "partial"
        # An upload whose address was lost expires.
        answer = await self._requests.tus(call, "POST", None, headers, repeatable=True)
        address = await self._address(call, answer, size)
        if not answer.certain and (await self.offset(call, address))[0]:
            raise not_the_service(call, "there is no new upload at the address it tells")
        return address

    async def _address(self, call: Call, answer: TusAnswer, size: int) -> str:
        """Returns the address of a new upload at the unit's own origin.

        A server behind a proxy may not know by which address its clients reach it. Then the upload is looked for at the
        unit's origin, and the place where it was found is remembered. No other origin is ever asked.

        Raises:
            ServiceError: it is not there. Its removal was requested where something else than 404 was answered, also of
                a server that does not advertise it.
        """
        location = Secret(answer.headers.get("location", "").strip())
        endpoint = self._requests.endpoint
        if not location:
            error = not_the_service(call, "it does not say where the upload is")
            error.retryable = not answer.certain
            raise error
        own = endpoint.own_address(location)
        if own is not None and endpoint.is_usual(own):
            return own
        places = endpoint.likely_addresses(location)
        if self._place is not None and self._place < len(places):
            return places[self._place]
        unclear = []
        for number, place in enumerate(places):
            try:
                offset, headers = await self.offset(call, place)
            except NotFoundError:
                continue
            except StorageError as error:
                if place == own and (isinstance(error, NetworkError) or (error.status or 0) >= 500):
                    return place  # which later requests show
                unclear.append(place)
                continue
            if not offset and headers.get("upload-length", str(size)) == str(size):
                self._place = number
                return place
        for place in (each for each in unclear if not each.endswith("/")):
            with suppress(StorageError):
                await self._requests.tus(call, "DELETE", place, {})
        raise _elsewhere(call, location)

    async def most_parts(self, call: Call) -> int:
        """Returns how many addresses of parts fit into one header.

        The addresses of some servers are long, such as those that keep uploads in S3. So the first call creates a part,
        looks at its address, and removes it.
        """
        if self._address_size is None:
            address = await self.create(call, 1, {}, partial=True)
            self._address_size = len(address)
            with suppress(StorageError):
                await self.remove(call, address, patiently=False)
        return max(1, _MAX_CONCAT_SIZE // (self._address_size + 1))

    async def store(
        self, call: Call, metadata: Mapping[str, str], body: Body, crc32c: int | None
    ) -> tuple[TusAnswer, int | None]:
        """Stores a whole file in one request; returns the response and the CRC32C of the bytes sent.

        Raises:
            ServiceError: the server stored a part of it, which was removed. The limit is smaller then.
        """
        headers = {**_BYTES, "upload-length": str(body.size), "upload-metadata": metadata_header(metadata)}
        given = self._sum(crc32c)
        checked = None if given else VerifiedBody(call, body)
        # Repeating it gives the same file, unless the first file stands in its way then.
        again = (bool(given) and "absent" not in metadata) or None
        answer = await self._requests.tus(call, "POST", None, headers | given, checked or body, repeatable=again)
        offset = offset_of(call, answer.headers)
        if offset < body.size and self.limit.whole:
            self.limit.stored_in_part(offset)
            with suppress(StorageError):
                await self.remove(call, await self._address(call, answer, body.size), patiently=False)
            error = call.error(ServiceError, f"the server took {offset} of {body.size} bytes; try again")
            error.progressed = True
            raise error
        if offset != body.size:
            raise call.error(ServiceError, f"the server took {offset} of {body.size} bytes; try again")
        self.creation.note(metadata, answer.headers)
        return answer, crc32c if checked is None else checked.crc32c

    async def offset(self, call: Call, address: str) -> tuple[int, Mapping[str, str]]:
        """Returns the offset of an upload, and the other headers.

        Raises:
            NotFoundError: the upload no longer exists, or has expired.
        """
        try:
            answer = await self._requests.tus(call, "HEAD", address, {})
        except AccessDeniedError as error:
            if _may_be_gone(error):
                raise call.error(NotFoundError, "the upload is gone; start it again", status=403) from error
            raise
        if not answer.certain:
            raise not_the_service(call, "it does not say where the upload is")
        offset = offset_of(call, answer.headers)
        if _has_expired(offset, answer.headers):
            raise call.error(NotFoundError, "the upload has expired; start it again")
        return offset, answer.headers

    async def claim(self, call: Call, address: str, offset: int) -> None:
        """Asks for the right to continue at an offset, so that no bytes are sent in vain.

        Raises:
            StorageError: 423, the server has not noticed yet that the earlier connection is gone; 409, it has more
                bytes.
        """
        if self.announced.ours:
            await self.append(call, address, offset, Buffered((), 0, 0), None)

    async def append(
        self, call: Call, address: str, offset: int, body: Body, crc32c: int | None
    ) -> tuple[TusAnswer, int]:
        """Sends the next bytes; returns the response and the offset that the upload has now.

        If the response is not certain, the offset is requested.

        Raises:
            ServiceError: the server reports an offset that cannot be.
        """
        headers = {**_BYTES, "upload-offset": str(offset), **self._sum(crc32c)}
        # After a break, ask for the offset first.
        answer = await self._of_upload(call, "PATCH", address, headers, body, repeatable=False)
        if answer.certain and "upload-offset" in answer.headers:
            reached = offset_of(call, answer.headers)
        else:
            try:
                reached, _ = await self.offset(call, address)
            except NotFoundError as error:
                text = "the server does not say where the upload is, and no longer has it; try again"
                raise call.error(ServiceError, text) from error
        end = offset + body.size
        if reached < offset:
            text = f"the server went back to {reached} from {offset}; try again"
            raise call.error(ServiceError, text)
        if reached > end:
            raise contradiction(call, f"the server is at {reached}, behind {end}, where the bytes ended")
        return answer, reached

    async def concatenate(self, call: Call, parts: Sequence[str], metadata: Mapping[str, str]) -> TusAnswer:
        """Makes a file of partial uploads."""
        headers = {"upload-concat": f"final;{' '.join(parts)}", "upload-metadata": metadata_header(metadata)}
        answer = await self._requests.tus(call, "POST", None, headers)
        self.creation.note(metadata, answer.headers)
        return answer

    async def confirm(self, call: Call, key: str, size: int, *, certain: bool) -> None:
        """Looks up a stored file, unless the response was certain.

        Raises:
            ServiceError: the file is missing, or has another size.
        """
        if not certain:
            await self._looks.confirm_stored(call, key, size)

    async def became_file(self, call: Call, key: str, size: int, crc32c: int | None, error: StorageError) -> bool:
        """Returns whether an upload became its file, after the answer that would have told it was lost.

        Args:
            call, key: the upload, and the file that it becomes.
            size, crc32c: of the whole file; without a checksum, no file is believed.
            error: says how the answer was lost.

        Raises:
            StorageError: it cannot be found out.
        """
        if crc32c is None:
            return False

        async def is_wanted(found: Entry) -> bool:
            return await self._checksum_of(found) == crc32c

        found = await settled(lambda: self._looks.look_up(call, key), size, is_wanted, error, self.stall_timeout)
        return found is not None

    async def remove(self, call: Call, address: str, *, patiently: bool = True) -> None:
        """Terminates an upload, if the server can; one that is gone already is not an error.

        Args:
            call, address: the upload.
            patiently: try again after errors.
        """
        if "termination" in self.announced.tus:
            await self._remove(partial(self._remove_one, call, address), patiently=patiently)

    async def _remove_one(self, call: Call, address: str) -> None:
        answer = await self._of_upload(call, "DELETE", address, {})
        if not answer.certain:
            await self.offset(call, address)
            raise not_the_service(call, "the upload is there still")

    async def _remove(self, remove: Callable[[], Awaitable[None]], *, patiently: bool = True) -> None:
        with suppress(NotFoundError):
            for number, pause in enumerate((*_PAUSES, None) if patiently else (None,)):
                try:
                    await remove()
                except StorageError as error:
                    # The server may not have noticed yet that our connection is gone. Another server that answers in
                    # its place does so again: the caller's own attempts wait for longer.
                    locked = error.status in (409, 423)
                    if pause is None or not error.retryable or (number and not locked):
                        raise
                    await asyncio.sleep(pause)
                else:
                    return

    async def remove_group(self, call: Call, group: str, part: str | None) -> None:
        """Terminates all uploads of a group; one that has none any more is not an error.

        Args:
            call: the upload, for errors.
            group: its name.
            part: the address of one of its uploads, if one is known.
        """
        before, named, _ = (part or "").rpartition(f"/{group}.")
        address = f"{before}/{group}" if named else self._requests.endpoint.usual_address(group)
        await self._remove(partial(self._remove_named, call, Secret(address)))

    async def _remove_named(self, call: Call, group: str) -> None:
        answer = await self._requests.tus(call, "DELETE", group, {})
        if not answer.certain:  # a group cannot be looked at, so it is removed once more
            raise not_the_service(call, "it does not confirm the removal")

    async def _of_upload(
        self,
        call: Call,
        method: str,
        address: str,
        headers: Mapping[str, str],
        body: Body | None = None,
        *,
        repeatable: bool | None = None,
    ) -> TusAnswer:
        """Sends a request for an upload; a refusal that may mean that it is gone is looked into.

        Raises:
            NotFoundError: the upload no longer exists.
        """
        try:
            return await self._requests.tus(call, method, address, headers, body, repeatable=repeatable)
        except AccessDeniedError as error:
            if _may_be_gone(error):
                await self.offset(call, address)
            raise

    def _sum(self, crc32c: int | None) -> dict[str, str]:
        if crc32c is None or not self.announced.checks_bodies:
            return {}
        return {"upload-checksum": checksum_text(crc32c)}


def _may_be_gone(error: AccessDeniedError) -> bool:
    """Returns whether a refusal may be that of an upload that is gone: 403 is one of the statuses for it."""
    return error.status == 403 and error.code is None


def _has_expired(offset: int, headers: Mapping[str, str]) -> bool:
    """Returns whether an upload is past its `Upload-Expires`, by the server's own clock.

    A server may keep such an upload until it next cleans up, and still accept no bytes for it. An upload that became a
    file does not expire.
    """
    if headers.get("upload-length") == str(offset) and headers.get("upload-concat", "").strip() != "partial":
        return False
    expires, now = (timestamp_of(headers.get(name, "")) for name in ("upload-expires", "date"))
    return 0 < expires <= now


def offset_of(call: Call, headers: Mapping[str, str]) -> int:
    """Returns the offset that a response reports.

    Raises:
        ServiceError: it reports none, or one that is not a number.
    """
    # A proxy may add the header once more.
    values = set(re.split(r"\s*,\s*", headers.get("upload-offset", "").strip()))
    text = values.pop()
    if values or not re.fullmatch(r"[0-9]{1,18}", text):
        raise call.error(ServiceError, "the server does not say where the upload is")
    return int(text)


def _elsewhere(call: Call, location: str) -> StorageError:
    try:
        parts = urlsplit(location)
        shown = f"{parts.scheme or 'http'}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "a path"
    except ValueError:
        shown = "an address"
    text = (
        f"the server puts the upload at {shown:.200}, where this unit is not, and it was not found at the unit's own "
        "address; a proxy in front of it must pass on Host and X-Forwarded-Proto (tusd: -behind-proxy), or the server "
        "send a relative Location"
    )
    return call.error(ServiceError, text, retryable=False)
