"""Sends the bodies of objects and parts, so that the service or we compare them.

A CRC32C is the first choice: it costs next to nothing, and a service that returns it has compared it. A service that
refuses it, or does not return it, gets a `Content-MD5`, and its ETag tells whether it stored the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Coroutine, Mapping
from typing import Any

from dxflow_async import checksum
from dxflow_async.exceptions import ChecksumMismatchError, StorageError
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.headers import other_digest
from dxflow_async.providers.aws.refusals import Judge
from dxflow_async.providers.aws.requests import Requests
from dxflow_async.providers.common.etags import opaque_tag
from dxflow_async.providers.contract import Body, Buffer
from dxflow_async.providers.http import Call, Response
from dxflow_async.streams import chunks_of

__all__ = ["SentBody", "send_body"]

SentBody = tuple[Response, bool]
"""What came of sending a body: the service's answer, and whether it confirms the body.

It does if its ETag is the MD5 of the body, or it reports another checksum than was sent, which is that of the body; and
the bytes of the body have the CRC32C that it announces.
"""


def send_body(
    requests: Requests,
    call: Call,
    bucket: str,
    name: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: Body,
    *,
    ability: Ability | None = Ability.OBJECT_CRC32C,
    judge: Judge | None = None,
) -> Coroutine[Any, Any, SentBody]:
    """Sends a body with a CRC32C that the server compares; falls back to Content-MD5, and remembers it.

    A server that does not return the CRC32C may have ignored it. The ETag, which is the MD5 at most services, is
    compared instead, and bodies carry a Content-MD5 from then on.

    Args:
        requests: sends it.
        call, bucket, name, query, headers, body: the request.
        ability: what is sent, an object or a part; None to send a Content-MD5 in any case.
        judge: as for `Requests.send`.

    Raises:
        ChecksumMismatchError: the body has another CRC32C than it announces.
    """
    request = requests, call, bucket, name, query, headers, body, ability, judge
    if requests.prepared and (ability is None or ability in requests.dialect.proven):
        return _send(*request)
    return _send_first(requests, ability, request)


async def _send_first(requests: Requests, ability: Ability | None, request: tuple[Any, ...]) -> SentBody:
    """Sends a body that may be the first one, for whose answer others wait."""
    await requests.prepare()
    if ability is None or requests.dialect.known(ability):
        return await _send(*request)
    async with requests.dialect.first(ability):
        return await _send(*request)


async def _send(
    requests: Requests,
    call: Call,
    bucket: str,
    name: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: Body,
    ability: Ability | None,
    judge: Judge | None,
) -> SentBody:
    dialect, refused = requests.dialect, None
    if ability is not None and body.crc32c is not None and (ability in dialect.proven or dialect.allows(ability)):
        sent = {**headers, "x-amz-checksum-crc32c": checksum.encode(body.crc32c)}
        try:
            response = await requests.send(call, "PUT", bucket, name, sent, query=query, body=body, judge=judge)
        except StorageError as error:
            refused = requests.doubted(error, ability)
        else:
            if "x-amz-checksum-crc32c" in response.headers:
                if ability not in dialect.proven:
                    dialect.accept(Ability.OBJECT_CRC32C, Ability.PART_CRC32C)
                return response, False
            return await _compare(requests, call, response, body, ability)
    digest = await _md5(requests, call, body)
    headers = {**headers, "content-md5": base64.b64encode(digest).decode()}
    response = await requests.send(call, "PUT", bucket, name, headers, query=query, body=body, judge=judge)
    if refused is not None:
        requests.refused(Ability.OBJECT_CRC32C, refused, "bodies carry a Content-MD5 instead")
        dialect.refuse(Ability.PART_CRC32C, refused)
    confirmed = _is_confirmed(requests, call, response, digest) or await _is_told(requests, call, response, body)
    return response, confirmed and body.crc32c is not None


async def _compare(requests: Requests, call: Call, response: Response, body: Body, ability: Ability) -> SentBody:
    """Compares an object whose CRC32C the server may have ignored with the ETag."""
    if ability is not Ability.OBJECT_CRC32C or requests.dialect.known(ability):
        requests.dialect.accept(ability)
        return response, await _is_told(requests, call, response, body)  # only some answers lack it
    try:
        digest = await _md5(requests, call, body)
    except BaseException:
        response.close()
        raise
    requests.refused(ability, "it is not returned", "bodies carry a Content-MD5 instead")
    confirmed = _is_confirmed(requests, call, response, digest) or await _is_told(requests, call, response, body)
    return response, confirmed


async def _md5(requests: Requests, call: Call, body: Body) -> bytes:
    """Returns the MD5 of a body, and compares its CRC32C with the one that it announces.

    Raises:
        ChecksumMismatchError: it is another one.
    """
    digest, crc32c = hashlib.md5(usedforsecurity=False), 0

    def update(chunk: Buffer) -> None:
        nonlocal crc32c
        digest.update(chunk)
        crc32c = checksum.crc32c(chunk, crc32c)

    async with chunks_of(body) as chunks:
        async for chunk in chunks:
            await requests.threads.run(update, chunk)
    if body.crc32c not in (None, crc32c):
        raise call.error(ChecksumMismatchError, "the bytes changed while they were sent; try again")
    return digest.digest()


async def _is_told(requests: Requests, call: Call, response: Response, body: Body) -> bool:
    """Returns whether an answer reports another checksum than was sent, which is that of the body.

    A service may compute a CRC64NVME or a SHA-256 of its own. It is compared where it can be computed here, and proves
    nothing otherwise.

    Raises:
        ChecksumMismatchError: it is that of other bytes, or the body has another CRC32C than it announces.
    """
    expected = other_digest(response.headers)
    if expected is None or body.crc32c is None:
        return False
    running, crc32c = expected.running(), 0

    def update(chunk: Buffer) -> None:
        nonlocal crc32c
        running.update(chunk)
        crc32c = checksum.crc32c(chunk, crc32c)

    try:
        async with chunks_of(body) as chunks:
            async for chunk in chunks:
                await requests.threads.run(update, chunk)
    except BaseException:
        response.close()
        raise
    if crc32c == body.crc32c and running.value == expected.value:
        return True
    response.close()
    text = "the bytes changed while they were sent; try again"
    if crc32c == body.crc32c:
        text = f"the service stored bytes with another {expected.shown} than was sent; try again"
    raise call.error(ChecksumMismatchError, text)


def _is_confirmed(requests: Requests, call: Call, response: Response, digest: bytes) -> bool:
    """Returns whether an answer's ETag is the MD5 of the body.

    An ETag that is no MD5 proves nothing. Encryption with a key of the user's or of KMS makes it something else.

    Raises:
        ChecksumMismatchError: it is the MD5 of other bytes, at an endpoint whose ETags are MD5s.
    """
    etag, dialect = opaque_tag(response.headers.get("etag", "")), requests.dialect
    if etag == digest.hex():
        dialect.accept(Ability.MD5_ETAGS)
        return True
    encrypted = any(name.startswith("x-amz-server-side-encryption") for name in response.headers)
    if _MD5.fullmatch(etag) and dialect.known(Ability.MD5_ETAGS) and not encrypted:
        response.close()
        raise call.error(ChecksumMismatchError, "the service stored other bytes than were sent; try again")
    return False


_MD5 = re.compile(r"[0-9a-f]{32}")
