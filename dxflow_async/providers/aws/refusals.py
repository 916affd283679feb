"""Reads refusals of S3: which optional header or limit of a service a refusal is about.

Services name the same thing with different codes. A code or a message that names the header is believed at once; one
that may have another cause only as long as the header never worked at that endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.aws.dialects import Ability, Dialect
from dxflow_async.providers.aws.errors import UNKNOWN_HEADER_CODES, parse_error
from dxflow_async.providers.http import Response, read_error_body

__all__ = [
    "CHECKSUM_MODE",
    "Judge",
    "Refusal",
    "is_mute",
    "may_be_moved",
    "refusal_of",
    "refuses_mode",
    "refuses_unsigned",
    "without_mode",
]

CHECKSUM_MODE = "x-amz-checksum-mode"

_UNSIGNED_CODES = {
    400: ("InvalidDigest", ""),
    403: ("SignatureDoesNotMatch", "AccessDenied", ""),
    501: ("NotImplemented", ""),
}


class Refusal(NamedTuple):
    """A response that refuses a request.

    Attributes:
        status, headers: the response's.
        code, message: of its body; empty if it has none.
        data: the body.
    """

    status: int
    headers: Mapping[str, str]
    code: str
    message: str
    data: bytes

    @property
    def reason(self) -> str:
        """The status and the code, as messages show them."""
        return f"{self.status} {self.code}".strip()

    def names(self, *words: str) -> bool:
        """Returns whether the message has one of these words, which are in small letters."""
        said = self.message.lower()
        return any(word in said for word in words)


Judge = Callable[[Refusal], StorageError | None]
"""Returns the error for a refusal that needs another error than its code says; None for the error of the code."""


async def refusal_of(response: Response) -> Refusal:
    """Reads a response that refuses a request, and releases its connection."""
    data = await read_error_body(response)
    code, message = parse_error(data)
    return Refusal(response.status, response.headers, code, message, data)


def is_mute(refusal: Refusal, dialect: Dialect) -> bool:
    """Returns whether the refusal of a HEAD request gives no reason, and that of a GET request may give one."""
    if refusal.code or refusal.headers.get("x-amz-bucket-region"):
        return False
    return refusal.status in (301, 307, 400, 501) or (refusal.status == 403 and not dialect.known(Ability.UNSIGNED))


def may_be_moved(refusal: Refusal) -> bool:
    """Returns whether a refusal may be about the region of a bucket although it does not name one."""
    return (
        refusal.status in (301, 307, 400)
        and refusal.code in ("", "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect")
        and "x-amz-bucket-region" not in refusal.headers
    )


def refuses_mode(refusal: Refusal, headers: Mapping[str, str], dialect: Dialect) -> bool:
    """Returns whether the header that asks for checksums may have caused the refusal of a read."""
    if CHECKSUM_MODE not in headers or refusal.status not in (400, 405, 501):
        return False
    if refusal.names(CHECKSUM_MODE):
        return True
    told = refusal.code in UNKNOWN_HEADER_CODES or (not refusal.code and not refusal.data)
    return told and not dialect.has(Ability.READ_CHECKSUMS)


def refuses_unsigned(refusal: Refusal, headers: Mapping[str, str], dialect: Dialect, ability: Ability) -> bool:
    """Returns whether a payload that was not signed may have caused the refusal.

    Services say so in different ways: `XAmzContentSHA256Mismatch`, `InvalidDigest` with a message about
    UNSIGNED-PAYLOAD, or `SignatureDoesNotMatch`, where they sign the digest of the body that they received.
    """
    if refusal.code == "XAmzContentSHA256Mismatch" or refusal.names("unsigned-payload", "content-sha256"):
        return True
    if dialect.has(ability):
        return False
    if refusal.data and not refusal.code:
        return False  # a page of a proxy or a balancer tells nothing about the service
    if refusal.status == 501 and any(name.startswith("x-amz-checksum-") for name in headers):
        return False  # first without those
    return refusal.code in _UNSIGNED_CODES.get(refusal.status, ())


def without_mode(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the headers of a read without the one that asks for checksums."""
    return {name: value for name, value in headers.items() if name != CHECKSUM_MODE}
