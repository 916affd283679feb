"""Metadata beyond ASCII in the headers of S3."""

from __future__ import annotations

import pytest

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.aws.headers import entry_of, object_headers, stored_headers
from dxflow_async.providers.aws.metadata import decode_value, encode_value
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.http import Call

CALL = Call("AWS", "write", "/bucket/a")


@pytest.mark.parametrize("value", ["", "plain", "René", "日本語 " * 40, "=?UTF-8?B?UmVuw6k=?=", "a =? b", "😀" * 30])
def test_value_returns_as_it_was_given(value: str) -> None:
    """A sent value is ASCII, in words of at most 75 characters, and is read as it was given."""
    sent = encode_value(value)
    assert sent.isascii()
    assert value == sent or max(map(len, sent.split(" "))) <= 75
    assert decode_value(sent) == value


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ("=?UTF-8?Q?Ren=C3=A9_x?=", "René x"),
        ("=?utf-8?b?UmVuw6k=?= =?UTF-8?Q?_x?=", "René x"),
        ("a =?UTF-8?B?w7w=?= b", "a ü b"),
        ("=?UTF-8?B?4pc=?= =?UTF-8?B?iw==?=", "○"),
        ("=?ISO-8859-1?Q?=E9?=", "é"),
        ("=?none?B?AAAA?=", "=?none?B?AAAA?="),
        ("=?UTF-8?B?w?=", "=?UTF-8?B?w?="),
        ("Grüße", "Grüße"),
    ],
)
def test_told_value_is_decoded(told: str, value: str) -> None:
    """Both encodings, mixed and cut words are decoded; invalid words and plain UTF-8 stay as they are."""
    assert entry_of("b/a", {"x-amz-meta-owner": told}, 1, None).metadata == {"owner": value}


@pytest.mark.parametrize("value", ["Grüße", "=?UTF-8?Q?Gr=C3=BC=C3=9Fe?="])
def test_copy_with_a_time_sends_ascii(value: str) -> None:
    """A copy whose headers are sent again keeps the value, whichever way the service returned it."""
    sent = stored_headers({"x-amz-meta-owner": value}, 1.0)["x-amz-meta-owner"]
    assert sent.isascii()
    assert decode_value(sent) == "Grüße"


@pytest.mark.parametrize(
    "entry", [("näme", "x"), ("a b", "x"), ("", "x"), ("a", "x\r\ny: z"), ("a", "\0"), ("a", "\udc80")]
)
def test_metadata_that_no_header_holds(entry: tuple[str, str]) -> None:
    """Names that are no tokens and values with control characters are refused with the name, before a request."""
    with pytest.raises(UnsupportedError, match="metadata"):
        object_headers(CALL, ObjectOptions(metadata=dict([entry])))
