"""Resumable uploads: one session, all bytes in one request, continued after a break from where the server is.

Source: https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from dxflow_async.exceptions import (
    ChecksumMismatchError,
    NetworkError,
    ServiceError,
    StallTimeoutError,
    StorageError,
)
from dxflow_async.providers.common.confirm import contradiction, not_the_service
from dxflow_async.providers.common.verified_body import VerifiedBody
from dxflow_async.providers.contract import Body, Entry
from dxflow_async.providers.gcp.objects import STORED_FIELDS, described
from dxflow_async.providers.gcp.requests import JSON_TYPE, Requests, parsed
from dxflow_async.providers.http import Call, Response
from dxflow_async.security.redaction import Secret

__all__ = ["ResumableUpload"]

_RANGE = re.compile(r"bytes=0-(\d{1,18})")
_GONE = (404, 410, 499)
_CANCELS = 2


class _State(NamedTuple):
    """How many bytes the server has, and the object once it is stored."""

    offset: int
    stored: Entry | None = None


class ResumableUpload:
    """The upload of one object.

    Args:
        requests, call: send the requests.
        bucket, resource: the object to store.
        query: further parameters, such as `&predefinedAcl=publicRead`.

    Attributes:
        name: of the object.
        crc32c: of the whole, once it was sent to its end.
    """

    def __init__(
        self, requests: Requests, call: Call, bucket: str, resource: Mapping[str, Any], query: str = ""
    ) -> None:
        self.name: str = resource["name"]
        self.crc32c: int | None = None
        self._acknowledged = 0
        self._requests = requests
        self._call = call
        self._bucket = bucket
        self._resource = resource
        self._query = query
        # The session's path and query. Knowing it grants write access, so it is never shown.
        self._session: Secret | None = None

    async def send(self, body: Body) -> Entry:
        """Sends the bytes that the server does not have, and continues after breaks as long as there is progress.

        Returns:
            The stored object, as the server describes it.

        Raises:
            StorageError: there was no progress, or the session is gone. If it is `retryable`, call again with the same
                bytes to continue.
        """
        state = _State(0)
        if self._session is None:
            await self._begin()
        else:
            # How much an earlier attempt sent is not known any more.
            state = await self._status(body.size, body.size)
        while state.stored is None:
            error, before = None, state
            checked = VerifiedBody(self._call, body, before.offset)
            try:
                state = await self._put(body.size, before.offset, checked)
            except (NetworkError, StallTimeoutError, ServiceError) as broken:
                if checked.failed or self._session is None:
                    raise
                error = broken
                state = await self._status(body.size, checked.sent)
            finally:
                self.crc32c = checked.crc32c if self.crc32c is None else self.crc32c
            if state.stored is None and not before.offset < state.offset < body.size:
                raise error or self._call.error(ServiceError, "the server took a part of it only; try again")
        return state.stored

    async def cancel(self) -> None:
        """Cancels the session and drops its bytes. Does not raise if the session is gone already."""
        session, self._session = self._session, None
        for _ in range(_CANCELS if session is not None else 0):
            with suppress(StorageError):
                response = await self._requests.send_to_session(self._call, "DELETE", session or "", {}, None)
                response.close()
                if response.status in _GONE or response.status == 204:
                    return

    async def _begin(self) -> None:
        path = f"/upload/storage/v1/b/{self._bucket}/o?uploadType=resumable&fields={STORED_FIELDS}{self._query}"
        headers = {
            "content-type": JSON_TYPE,
            "x-upload-content-type": self._resource["contentType"],
        }
        body = json.dumps(self._resource).encode()
        response = await self._requests.send(self._call, "POST", path, headers, body, missing_bucket=self._bucket)
        response.close()
        # Only the path of its URL is used: bytes go only to the configured endpoint.
        self._session = _session_of(response.headers.get("location", ""))
        if response.status not in (200, 201) or self._session is None or "upload_id=" not in self._session:
            self._session = None
            raise not_the_service(self._call, "it does not name the session that was begun", response.status)
        self._acknowledged = 0

    async def _put(self, size: int, offset: int, body: VerifiedBody) -> _State:
        headers = {
            "content-type": self._resource["contentType"],
            "content-range": f"bytes {offset}-{size - 1}/{size}",
        }
        return await self._ask(size, headers, body, size)

    async def _status(self, size: int, sent: int) -> _State:
        return await self._ask(size, {"content-range": f"bytes */{size}"}, None, sent)

    async def _ask(self, size: int, headers: dict[str, str], body: VerifiedBody | None, sent: int) -> _State:
        """Returns the state of the upload, of which at most `sent` bytes can have arrived."""
        assert self._session is not None
        response = await self._requests.send_to_session(self._call, "PUT", self._session, headers, body)
        if response.status in (200, 201):
            document = await self._requests.document(self._call, response, "storage#object", needed=False)
            stored = parsed(self._call, described, self._bucket, self.name, document)
            self._session = None
            return _State(size, stored)
        if response.status == 308:
            response.close()
            return _State(self._reached(response, sent))
        if response.status in _GONE:
            raise self._lost(response)
        error = await self._requests.failure(self._call, response)
        if isinstance(error, ChecksumMismatchError):
            self._session = None  # it could only fail again
        raise error

    def _reached(self, response: Response, sent: int) -> int:
        """Returns how many bytes the server has, according to a 308 response.

        Raises:
            ServiceError: it names more bytes than were sent, or fewer than before, or is a redirect. If the next
                response names fewer bytes again, it is believed, and the rest is sent once more.
        """
        text = response.headers.get("range")
        found = _RANGE.fullmatch(text or "bytes=0-0")
        if found is None or "location" in response.headers:
            raise not_the_service(self._call, "it does not say how much has come", 308)
        reached = 0 if text is None else int(found[1]) + 1
        if reached > sent:
            raise contradiction(self._call, f"{reached} bytes have come, where {sent} were sent", 308)
        acknowledged, self._acknowledged = self._acknowledged, reached
        if reached < acknowledged:
            raise contradiction(self._call, f"{reached} bytes have come, where it had {acknowledged}", 308)
        return reached

    def _lost(self, response: Response) -> StorageError:
        self._session = None
        response.close()
        said = f"the server lost what it had of it ({response.status}); start again"
        return self._call.error(ServiceError, said, status=response.status)


def _session_of(location: str) -> Secret | None:
    """Returns the path and query of a session's URL; None if it is not one."""
    try:
        url = urlsplit(location)
    except ValueError:
        return None
    return Secret(f"{url.path}?{url.query}") if url.path.startswith("/") and url.query else None
