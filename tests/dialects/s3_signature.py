"""Checks AWS Signature Version 4, in the Authorization header and in the query.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from tests.dialects.s3_exchange import Ask, S3Error

__all__ = ["UNSIGNED", "check_signature", "is_signed"]

UNSIGNED = "UNSIGNED-PAYLOAD"
_MAX_SKEW = 900
_HEADER = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})")


def is_signed(ask: Ask) -> bool:
    """Returns whether a request claims to be signed."""
    return "authorization" in ask.headers or "X-Amz-Signature" in ask.query


def check_signature(ask: Ask, keys: Mapping[str, str], region: str, now: float) -> str:
    """Checks who signed a request, and when, and returns the SHA-256 of its body as signed.

    Args:
        ask: the request.
        keys: secret keys by access key.
        region: the only one that signatures may be for.
        now: seconds since the epoch.

    Raises:
        S3Error: the request was not signed by one of the keys, for this region, at this time.
    """
    if "authorization" in ask.headers:
        found = _HEADER.fullmatch(ask.headers["authorization"])
        if found is None:
            raise S3Error(400, "AuthorizationHeaderMalformed", "The authorization header is malformed")
        credential, names, signature = found.groups()
        stamp, payload = ask.headers.get("x-amz-date", ""), ask.headers.get("x-amz-content-sha256", "")
        if not payload:
            raise S3Error(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    else:
        credential, names = ask.query.get("X-Amz-Credential", ""), ask.query.get("X-Amz-SignedHeaders", "")
        stamp, payload, signature = ask.query.get("X-Amz-Date", ""), UNSIGNED, ask.query["X-Amz-Signature"]
    access_key, _, scope = str(credential).partition("/")
    day, _, rest = scope.partition("/")
    named = rest.partition("/")[0]
    if access_key not in keys:
        raise S3Error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
    if named != region:
        raise S3Error(
            400,
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; the region '{named}' is wrong; expecting '{region}'",
            details={"Region": region},
            headers={"x-amz-bucket-region": region},
        )
    _check_time(ask, stamp, now)
    unsigned = {name for name in ask.headers if name.startswith("x-amz-")} - set(names.split(";"))
    if "authorization" in ask.headers and (unsigned or "host" not in names.split(";")):
        raise S3Error(403, "AccessDenied", "There were headers present in the request which were not signed")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{_hashed(_canonical(ask, names, payload))}"
    expected = hmac.new(_signing_key(keys[access_key], day, named), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise S3Error(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            details={"AWSAccessKeyId": access_key},
        )
    return payload


def _check_time(ask: Ask, stamp: str, now: float) -> None:
    try:
        then = _seconds(stamp)
    except ValueError as error:
        raise S3Error(403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from error
    if "authorization" not in ask.headers:
        if not then - _MAX_SKEW <= now <= then + int(ask.query.get("X-Amz-Expires", "0")):
            raise S3Error(403, "AccessDenied", "Request has expired")
    elif abs(then - now) > _MAX_SKEW:
        raise S3Error(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            details={
                "RequestTime": stamp,
                "ServerTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "MaxAllowedSkewMilliseconds": str(_MAX_SKEW * 1000),
            },
            headers={"Date": formatdate(now, usegmt=True)},
        )


@lru_cache(maxsize=16)
def _seconds(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _canonical(ask: Ask, names: str, payload: str) -> str:
    path = quote(unquote_to_bytes(ask.raw_path), safe="/-_.~")
    pairs = [each.partition("=") for each in ask.raw_query.split("&") if each]
    query = sorted(
        (quote(unquote_to_bytes(name), safe="-_.~"), quote(unquote_to_bytes(value), safe="-_.~"))
        for name, _, value in pairs
        if name != "X-Amz-Signature"
    )
    lines = "".join([f"{name}:{' '.join(ask.headers.get(name, '').split())}\n" for name in names.split(";")])
    return "\n".join([ask.method, path, "&".join(f"{name}={value}" for name, value in query), lines, names, payload])


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for text in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return key
