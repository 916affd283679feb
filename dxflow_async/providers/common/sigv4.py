"""AWS Signature Version 4 in the Authorization header, for S3.

Botocore's own signer costs ten times as much a request, which for small objects is as much as sending them; a test
holds this one against it on generated requests.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time
from urllib.parse import quote

from dxflow_async.providers.common.hmac_key import HMACKey
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.security.redaction import Secret

__all__ = ["UNSIGNED", "Credentials", "Signer", "query_string"]

UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs a request; `token` belongs to temporary credentials."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def query_string(parameters: Iterable[tuple[str, str]]) -> str:
    """Parameters in the canonical form: sorted, every byte but the unreserved ones escaped."""
    escaped = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parameters)
    return "&".join([f"{name}={value}" for name, value in escaped])


class Signer:
    """Signs requests to one service; the key of a day and region is derived once.

    Args:
        service: the service's name in signatures.
        clock: the service's time; by default that of this machine.
    """

    def __init__(self, service: str = "s3", *, clock: ServerClock | None = None) -> None:
        self._service = service
        self._clock = ServerClock(service) if clock is None else clock
        self._keys: dict[tuple[str, str, str], tuple[HMACKey, str]] = {}
        self._stamp: tuple[int, str] = (0, "")
        self._orders: dict[tuple[str, ...], tuple[list[str], str]] = {}

    def sign(
        self,
        credentials: Credentials,
        region: str,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        payload: str = UNSIGNED,
    ) -> None:
        """Adds date, payload hash, token and signature to `headers`, whose names are lower case and have `host`.

        Args:
            credentials: read anew for each request.
            region: the bucket's.
            method: in capitals.
            path: escaped, as it is sent.
            query: as `query_string` makes it.
            headers: all of them are signed, so they are to be sent as they are.
            payload: the hex SHA-256 of the body, or `UNSIGNED`.
        """
        stamp = self._now()
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = payload
        if credentials.token is not None:
            headers["x-amz-security-token"] = Secret(credentials.token)
        names, signed = self._names(tuple(headers))
        lines = "\n".join(map(":".join, zip(names, map(headers.__getitem__, names), strict=True))) + "\n"
        if "  " in lines or ": " in lines or " \n" in lines or not lines.replace("\n", "").isprintable():
            lines = "".join([f"{name}:{' '.join(headers[name].split())}\n" for name in names])
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload}"
        scope, signature = self._signature(credentials, region, stamp, canonical)
        headers["authorization"] = Secret(
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )

    def presigned(
        self,
        credentials: Credentials,
        region: str,
        method: str,
        url: str,
        expires: int,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """Returns a URL (escaped, without a query) with `query` and a signature, good for so many seconds.

        The SDK's signer would write it, token included, to its debug log.
        """
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        stamp = self._now()
        parameters = {
            **(query or {}),
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{credentials.access_key}/{stamp[:8]}/{region}/{self._service}/aws4_request",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": "host",
        }
        if credentials.token is not None:
            parameters["X-Amz-Security-Token"] = credentials.token
        text = query_string(parameters.items())
        canonical = f"{method}\n{slash}{path}\n{text}\nhost:{host}\n\nhost\n{UNSIGNED}"
        _, signature = self._signature(credentials, region, stamp, canonical)
        return f"{scheme}://{host}{slash}{path}?{text}&X-Amz-Signature={signature}"

    def _signature(self, credentials: Credentials, region: str, stamp: str, canonical: str) -> tuple[str, str]:
        key, scope = self._key(credentials, stamp[:8], region)
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        return scope, key.sign(text).hex()

    def _names(self, names: tuple[str, ...]) -> tuple[list[str], str]:
        """Returns the names of headers in order, and as a list in a text. Most requests have the same ones."""
        known = self._orders.get(names)
        if known is None:
            if len(self._orders) >= 64:
                self._orders.clear()
            order = sorted(names)
            known = self._orders[names] = order, ";".join(order)
        return known

    def _now(self) -> str:
        second = int(time() + self._clock.offset)
        if second != self._stamp[0]:
            self._stamp = second, datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
        return self._stamp[1]

    def _key(self, credentials: Credentials, day: str, region: str) -> tuple[HMACKey, str]:
        """The key, and what it is good for."""
        identity = (credentials.secret_key, day, region)
        known = self._keys.get(identity)
        if known is None:
            key = HMACKey(f"AWS4{credentials.secret_key}".encode())
            for text in (day, region, self._service, "aws4_request"):
                key = HMACKey(key.sign(text))
            if len(self._keys) >= 64:
                self._keys.clear()
            known = self._keys[identity] = key, f"{day}/{region}/{self._service}/aws4_request"
        return known
