"""Signed URLs (V4), made with a service account's key.

Source: https://cloud.google.com/storage/docs/access-control/signing-urls-manually
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from time import time
from typing import Any
from urllib.parse import quote, urlsplit

from dxflow_async.providers.common.sigv4 import query_string

__all__ = ["sign"]


def sign(
    private_key: Any,
    email: str,
    method: str,
    endpoint: str,
    bucket: str,
    name: str,
    expires: int,
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
        user_project: the project that pays for the request, if the bucket makes the requester pay.
    """
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    stamp = datetime.fromtimestamp(time(), UTC).strftime("%Y%m%dT%H%M%SZ")
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
