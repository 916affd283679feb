"""Writes that depend on what is stored: only a new object, or only over a known version.

Amazon obeys `If-None-Match: *` and `If-Match` of writes. Other services may refuse the headers, and some ignore them
without a word, so a success proves nothing. Until a service has shown that it obeys, the object is looked up right
before it is written. The first object that is created at such a service is then sent once more with the same header:
a service that obeys refuses it, and one that does not stores the same bytes again. What it did is remembered.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, PreconditionFailedError, StorageError
from dxflow_async.providers.aws.dialects import Ability
from dxflow_async.providers.aws.errors import UNKNOWN_HEADER_CODES
from dxflow_async.providers.aws.listed_etags import etag_to_send
from dxflow_async.providers.common.conditions import check_condition, check_matching, refused
from dxflow_async.providers.common.etags import if_match, same_etag
from dxflow_async.providers.contract import Body, ObjectOptions
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["delete_matching", "probe", "write_on_condition"]

T = TypeVar("T")

_PROBED_SIZE = 1 << 20
"""The largest body, in bytes, that is sent a second time to learn whether a service obeys."""


async def write_on_condition(
    provider: AWSProvider,
    call: Call,
    key: str,
    options: ObjectOptions,
    write: Callable[[Mapping[str, str]], Awaitable[T]],
    *,
    certain: bool = True,
) -> T:
    """Returns the result of `write`, which is given the headers of the condition.

    Args:
        provider, call, key: the object.
        options: the condition.
        write: sends the request.
        certain: what is known of the endpoint holds for this kind of request, too.

    Raises:
        AlreadyExistsError, PreconditionFailedError: the condition does not hold, and nothing was written.
    """
    ability = Ability.CREATE_ONLY if options.if_absent else Ability.REPLACE_ONLY
    dialect = provider.dialect
    if not (certain and dialect.has(ability)):
        await check_condition(provider, call, key, options)
    condition = "*" if options.if_absent else if_match(options.if_match)
    header = "if-none-match" if options.if_absent else "if-match"
    if not dialect.allows(ability):
        return await write({})
    try:
        return await write({header: condition or "*"})
    except StorageError as error:
        failure = error
    if (told := await _told_otherwise(provider, key, options, failure)) is not None:
        try:
            return await write({header: told})
        except StorageError as error:
            failure = error
    if failure.status == 412 and failure.code in ("PreconditionFailed", None, ""):
        dialect.accept(ability)
    unknown = failure.status == 501 or failure.code in UNKNOWN_HEADER_CODES
    if dialect.has(ability) or not unknown:
        missing = isinstance(failure, NotFoundError) and failure.code == "NoSuchKey"
        raise refused(call, options, failure, missing=missing) from failure
    written = await write({})
    reason = f"{failure.status or ''} {failure.code or ''}".strip()
    provider.requests.refused(ability, reason, "objects are looked up before they are written")
    return written


async def _told_otherwise(provider: AWSProvider, key: str, options: ObjectOptions, failure: StorageError) -> str | None:
    """Returns another `If-Match` for a version that a listing named; None if the condition does not hold."""
    if options.if_match is None or failure.status != 412:
        return None
    etag = await etag_to_send(provider, key, options.if_match)
    return None if same_etag(etag, options.if_match) else if_match(etag)


async def probe(provider: AWSProvider, call: Call, key: str, body: Body, headers: Mapping[str, str]) -> None:
    """Learns whether the service obeys `If-None-Match: *`, by sending an object that was just created once more."""
    dialect = provider.dialect
    if dialect.known(Ability.CREATE_ONLY) or body.size > _PROBED_SIZE:
        return
    bucket, _, name = key.partition("/")
    try:
        response = await provider.requests.send(call, "PUT", bucket, name, headers, body=body)
    except PreconditionFailedError:
        dialect.accept(Ability.CREATE_ONLY)
        provider.learn_conditions()
    except StorageError:
        return  # nothing is learned; the object is stored
    else:
        response.close()
        provider.requests.refused(Ability.CREATE_ONLY, "ignored", "objects are looked up before they are written")


async def delete_matching(provider: AWSProvider, key: str, etag: str) -> None:
    """Deletes an object of one version; see `Provider.delete_matching`."""
    call, options = Call(provider.name, "delete", f"/{key}"), ObjectOptions(if_match=etag)
    await check_matching(provider, call, key, etag)  # many services delete whatever is there
    bucket, _, name = key.partition("/")

    async def delete(headers: Mapping[str, str]) -> None:
        response = await provider.requests.send(call, "DELETE", bucket, name, headers)
        response.close()

    await write_on_condition(provider, call, key, options, delete)
    try:
        await provider.stat(key)
    except NotFoundError:
        return
    raise call.error(AlreadyExistsError, "the object is still there, or there is a new one; look at it again")
