"""Our signature against the SDK's."""

from __future__ import annotations

import base64
import string
from typing import Any
from urllib.parse import quote

from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.transport import HttpRequest
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy
from hypothesis import example, given
from hypothesis import strategies as st

from dxflow_async.providers.azure.shared_key import SharedKey
from dxflow_async.providers.common.sigv4 import query_string

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
printable = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=1, max_size=20)
metadata = st.from_regex(r"x-ms-meta-[a-z_][a-z0-9_]{0,12}", fullmatch=True)
ours = st.sampled_from(
    [
        "content-md5",
        "content-type",
        "if-match",
        "if-none-match",
        "x-ms-blob-content-type",
        "x-ms-blob-type",
        "x-ms-content-crc64",
        "x-ms-copy-action",
        "x-ms-copy-source",
        "x-ms-delete-snapshots",
        "x-ms-range",
        "x-ms-source-if-match",
        "x-ms-version",
    ]
)
ACCOUNT = "account1"


def sdk_authorization(key: str, method: str, url: str, headers: dict[str, str], size: int) -> str:
    """The header that the SDK makes."""
    request = HttpRequest(method, url, {**headers, "Content-Length": str(size)})
    policy: Any = SharedKeyCredentialPolicy  # it has no types
    policy(ACCOUNT, key).on_request(PipelineRequest(request, PipelineContext(None)))
    return str(request.headers["Authorization"])


@given(
    st.binary(min_size=1, max_size=64).map(lambda key: base64.b64encode(key).decode()),
    st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"]),
    st.sampled_from(["", "/devstoreaccount1"]),
    text,
    st.dictionaries(st.from_regex(r"[a-z]{1,10}", fullmatch=True), text, max_size=4),
    st.dictionaries(ours | metadata, printable, max_size=8),
    st.integers(0, 1 << 40),
)
@example(
    "a2V5", "PUT", "", "x", {}, {f"x-ms-meta-{name}": "1" for name in ("a1", "a_b", "a", "_a", "ab", "a__", "z")}, 0
)
def test_signature_is_the_sdks(
    key: str, method: str, root: str, name: str, query: dict[str, str], extra: dict[str, str], size: int
) -> None:
    """For any request the authorization is the one that the SDK would send."""
    path = f"{root}/container/{quote(name, safe='/-_.~')}"
    escaped = query_string(query.items())
    headers = {**extra, "x-ms-date": "Sat, 22 Nov 2025 12:00:00 GMT"}
    url = f"https://host{path}" + (f"?{escaped}" if escaped else "")
    expected = sdk_authorization(key, method, url, headers, size)
    SharedKey(ACCOUNT, key).sign(method, path, query, headers, size)
    assert headers["authorization"] == expected


def test_key_is_not_shown() -> None:
    """A representation of a key has no secret in it."""
    assert repr(SharedKey(ACCOUNT, "c2VjcmV0")) == "SharedKey('account1')"
