"""Bearer tokens, in the form that Azurite takes and azure-identity gives."""

from __future__ import annotations

import base64
import json
from time import time
from typing import NamedTuple

__all__ = ["Token", "jwt"]


def jwt(seconds: float) -> str:
    """A token that Azurite takes for so long."""
    now = int(time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/tenant/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + seconds,
    }
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "c2ln"]
    )


class Token(NamedTuple):
    """As azure-identity gives it."""

    token: str
    expires_on: float
