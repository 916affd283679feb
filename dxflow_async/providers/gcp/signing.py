"""Signed URLs (V4) and assertions (RFC 7523), made with a service account's key.

Sources: https://cloud.google.com/storage/docs/access-control/signing-urls-manually
https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from dxflow_async.providers.common.sigv4 import query_string

__all__ = ["sign", "sign_access_token", "sign_assertion"]

_ASSERTION_SECONDS = 3600


def sign(
    private_key: Any,
    email: str,
    method: str,
    endpoint: str,
    bucket: str,
    name: str,
    expires: int,
    now: float,
    user_project: str | None = None,
) -> str:
    """Returns a URL that works without credentials.

    Args:
        private_key: an RSA key of the library `cryptography`.
        email: the service account's.
        method: in capitals; the URL works for no other.
        endpoint: the service's URL, without a trailing slash.
        bucket, name: the object.
        expires: seconds from now.
        now: the service's time in seconds since the epoch.
        user_project: the project that pays for the request, if the bucket makes the requester pay.
    """
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/auto/storage/goog4_request"
    query = query_string(
        {
            "X-Goog-Algorithm": "GOOG4-RSA-SHA256",
            "X-Goog-Credential": f"{email}/{scope}",
            "X-Goog-Date": stamp,
            "X-Goog-Expires": str(expires),
            "X-Goog-SignedHeaders": "host",
            **({} if user_project is None else {"userProject": user_project}),
        }.items()
    )
    path = f"/{bucket}/{quote(name, safe='/-_.~')}"
    request = f"{method}\n{path}\n{query}\nhost:{urlsplit(endpoint).netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"GOOG4-RSA-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = private_key.sign(text.encode(), PKCS1v15(), SHA256()).hex()
    return f"{endpoint}{path}?{query}&X-Goog-Signature={signature}"


def sign_assertion(private_key: Any, account: Mapping[str, Any], token_uri: str, scope: str, now: float) -> str:
    """Returns the JSON Web Token that a token server exchanges for an access token.

    Args:
        private_key: an RSA key of the library `cryptography`.
        account: the service account's file.
        token_uri: the token server's URL.
        scope: what the access token is for.
        now: the token server's time in seconds since the epoch.
    """
    return _signed(private_key, account, {"scope": scope, "aud": token_uri}, now)


def sign_access_token(private_key: Any, account: Mapping[str, Any], scope: str, now: float) -> tuple[str, int]:
    """Returns a JSON Web Token that the service accepts as an access token, and its lifetime in seconds.

    Args:
        private_key, account, scope, now: as for `sign_assertion`.
    """
    claims = {"sub": account["client_email"], "scope": scope}
    return _signed(private_key, account, claims, now), _ASSERTION_SECONDS


def _signed(private_key: Any, account: Mapping[str, Any], more: Mapping[str, Any], now: float) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    key_id = account.get("private_key_id")
    header = {"alg": "RS256", "typ": "JWT", **({"kid": key_id} if key_id else {})}
    claims = {
        "iss": account["client_email"],
        **more,
        "iat": int(now),
        "exp": int(now) + _ASSERTION_SECONDS,
    }
    text = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    return f"{text}.{_encoded(private_key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
