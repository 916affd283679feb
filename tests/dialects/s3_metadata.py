"""User metadata beyond ASCII in headers, as Amazon S3 keeps it.

"Values of such headers are character decoded as per RFC 2047 before storing and encoded as per RFC 2047 before
returning": https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from email.header import decode_header, make_header
from typing import Literal

from tests.dialects.s3_exchange import S3Error

__all__ = ["PREFIX", "sent_metadata", "told_metadata"]

PREFIX = "x-amz-meta-"
_MAX_WORD = 75


def sent_metadata(headers: Mapping[str, str], kept: Literal["rfc2047", "utf8", "refused"]) -> dict[str, str]:
    """Returns the metadata that a request stores, by name without the prefix.

    Raises:
        S3Error: the server keeps ASCII only.
    """
    found = {name.removeprefix(PREFIX): value for name, value in headers.items() if name.startswith(PREFIX)}
    for name, value in found.items():
        if kept == "refused" and (not value.isascii() or "=?" in value):
            raise S3Error(400, "InvalidArgument", "Your metadata headers are not valid ASCII.")
        if kept == "rfc2047" and re.search(r"=\?[^?]+\?[bqBQ]\?", value):
            found[name] = str(make_header(decode_header(value)))
    return found


def told_metadata(metadata: Mapping[str, str], kept: Literal["rfc2047", "utf8", "refused"]) -> dict[str, str]:
    """Returns the headers that report metadata."""
    return {PREFIX + name: _encoded(value) if kept == "rfc2047" else value for name, value in metadata.items()}


def _encoded(value: str) -> str:
    """Encodes a value as javax.mail's `MimeUtility.encodeText` does: words of up to 75 letters, base64 if shorter."""
    if value.isascii():
        return value
    plain = sum(each.isascii() for each in value)
    code, text = ("Q", _quoted) if plain * 2 > len(value) else ("B", _base64)
    words, pending = list[str](), ""
    for letter in value:
        if len(text(pending + letter)) > _MAX_WORD - len("=?UTF-8?Q??="):
            words.append(pending)
            pending = ""
        pending += letter
    return " ".join(f"=?UTF-8?{code}?{text(each)}?=" for each in [*words, pending])


def _quoted(text: str) -> str:
    return "".join(
        chr(each) if chr(each).isalnum() and each < 128 else "_" if each == 32 else f"={each:02X}"
        for each in text.encode()
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
