"""Our signature against the SDK's."""

from __future__ import annotations

import hashlib
import string
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest.mock import patch
from urllib.parse import parse_qs, quote, urlsplit

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as SDKCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from dxflow_async.providers.common import sigv4
from dxflow_async.providers.common.sigv4 import UNSIGNED, Credentials, Signer, query_string

printable = st.text(string.ascii_letters + string.digits + string.punctuation + " \t", max_size=20)
names = st.from_regex(r"x-amz-meta-[a-z0-9-]{1,10}", fullmatch=True)
secrets = st.text(string.ascii_letters + string.digits + "/+=", min_size=1, max_size=40)
credentials = st.builds(Credentials, secrets, secrets, st.none() | secrets)
FIRST, LAST = 946_684_800, 4_102_444_800


def sdk_authorization(
    signing: Credentials, region: str, method: str, url: str, headers: dict[str, str], body: bytes | None, second: int
) -> tuple[str, str | None]:
    """The header that botocore makes, and the token that it sends."""
    request = AWSRequest(method, url, dict(headers), body or b"")
    signs_payload = Config(s3={"payload_signing_enabled": body is not None})
    request.context["client_config"] = signs_payload
    sdk = SDKCredentials(signing.access_key, signing.secret_key, signing.token)
    with patch.object(botocore.auth, *_clock(second)):
        S3SigV4Auth(sdk, "s3", region).add_auth(request)
    return request.headers["Authorization"], request.headers.get("X-Amz-Security-Token")


def _clock(second: int) -> tuple[str, object]:
    """What botocore asks for the time."""
    moment = datetime.fromtimestamp(second, UTC)
    if hasattr(botocore.auth, "get_current_datetime"):
        return "get_current_datetime", lambda **_: moment

    frozen = type("datetime", (datetime,), {"utcnow": classmethod(lambda _: moment.replace(tzinfo=None))})
    return "datetime", SimpleNamespace(datetime=frozen)


@given(
    credentials,
    st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1"]),
    st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), printable, max_size=4),
    st.dictionaries(names, printable, max_size=4),
    st.none() | st.binary(max_size=50),
    st.integers(FIRST, LAST),
)
def test_signature_is_the_sdks(
    signing: Credentials,
    region: str,
    method: str,
    key: str,
    query: dict[str, str],
    extra: dict[str, str],
    body: bytes | None,
    second: int,
) -> None:
    """For any request the authorization is the one that botocore would send."""
    path = f"/bucket/{quote(key, safe='/-_.~')}"
    text = query_string(query.items())
    headers = {**extra, "host": "s3.example.com:9000"}
    url = f"http://s3.example.com:9000{path}" + (f"?{text}" if text else "")
    expected, token = sdk_authorization(signing, region, method, url, headers, body, second)
    payload = UNSIGNED if body is None else hashlib.sha256(body).hexdigest()
    with patch.object(sigv4, "time", lambda: second + 0.5):
        Signer().sign(signing, region, method, path, text, headers, payload)
    assert headers["authorization"] == expected
    assert headers.get("x-amz-security-token") == token


@pytest.mark.parametrize("value", ["a  b", " a", "a ", "a: b", "a:  b", "a\tb", "a\u00a0b", " ", ""])
def test_spaces_in_headers(value: str) -> None:
    """Spaces around values, and several in a row, are signed as the SDK does."""
    headers = {"x-amz-meta-a": value, "x-amz-meta-b": "plain", "host": "h"}
    expected, _ = sdk_authorization(
        Credentials("AKID", "secret"), "us-east-1", "GET", "http://h/", headers, None, FIRST
    )
    with patch.object(sigv4, "time", lambda: FIRST):
        Signer().sign(Credentials("AKID", "secret"), "us-east-1", "GET", "/", "", headers)
    assert headers["authorization"] == expected


def test_keys_are_not_mixed_up() -> None:
    """One signer serves several credentials, days and regions, each as a new one would."""
    shared = Signer()
    for second in (FIRST, FIRST + 86_400, FIRST):
        for region in ("us-east-1", "eu-west-1"):
            for secret in ("one", "two"):
                made = []
                for signer in (shared, Signer()):
                    headers = {"host": "h"}
                    with patch.object(sigv4, "time", lambda: second):  # noqa: B023
                        signer.sign(Credentials("AKID", secret), region, "GET", "/", "", headers)
                    made.append(headers["authorization"])
                assert made[0] == made[1]


def test_secrets_are_not_shown() -> None:
    """A representation of credentials has no secret in it."""
    assert "hidden" not in repr(Credentials("AKID", "hidden-key", "hidden-token"))


@settings(deadline=None)
@given(
    credentials,
    st.sampled_from(["us-east-1", "cn-north-1"]),
    st.sampled_from(["GET", "PUT"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.integers(1, 604_800),
    st.integers(FIRST, LAST),
)
def test_signed_urls(signing: Credentials, region: str, method: str, name: str, expires: int, second: int) -> None:
    """A presigned URL is what the SDK makes of the same at the same second."""
    url = f"https://host:9000/bucket/{quote(name, safe='/-_.~')}"
    request = AWSRequest(method, url)
    sdk = SDKCredentials(signing.access_key, signing.secret_key, signing.token)
    with patch.object(botocore.auth, *_clock(second)):
        S3SigV4QueryAuth(sdk, "s3", region, expires).add_auth(request)
    with patch.object(sigv4, "time", lambda: second):
        ours = Signer().presigned(signing, region, method, url, expires)
    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(str(request.url)).query)
    assert ours.partition("?")[0] == url
