"""User metadata in the headers of S3: values beyond ASCII travel as encoded words of RFC 2047.

S3 decodes such values before it stores them, and encodes them before it returns them. Services that keep the encoded
words as they are return the same value. A value that looks like an encoded word is encoded itself, so that it comes
back unchanged from those services.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""

from __future__ import annotations

import base64
import binascii
import re

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.http import Call

__all__ = ["decode_value", "encode_value", "metadata_header"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")
_WORDS = re.compile(rf"{_WORD.pattern}(?:\s+{_WORD.pattern})*")
_MAX_BYTES = 45  # 60 characters of base64: a word has at most 75


def metadata_header(call: Call, name: str, value: str) -> tuple[str, str]:
    """Returns the name, in small letters, and the value of metadata as they stand in a header.

    Raises:
        UnsupportedError: the name is no token of HTTP, or the value has control characters.
    """
    if not _TOKEN.fullmatch(name):
        raise call.error(
            UnsupportedError,
            f"metadata {name!r} cannot be kept: a name has only ASCII letters, digits and - _ . + ! # $ % & ' * ^ ` | "
            "~; rename it",
        )
    if _CONTROL.search(value):
        raise call.error(
            UnsupportedError,
            f"metadata {name!r} cannot be kept: its value has a line break or another control character; remove it",
        )
    return name.lower(), encode_value(value)


def encode_value(value: str) -> str:
    r"""Returns a value as it is sent: encoded if it has characters beyond ASCII, or looks encoded.

    Example:
        >>> encode_value("plain"), encode_value("Ren\u00e9")
        ('plain', '=?UTF-8?B?UmVuw6k=?=')
    """
    if value.isascii() and not _WORD.search(value):
        return value
    words, pending, size = list[str](), "", 0
    for letter in value:
        added = len(letter.encode())
        if size + added > _MAX_BYTES:
            words.append(pending)
            pending, size = "", 0
        pending, size = pending + letter, size + added
    return " ".join(f"=?UTF-8?B?{base64.b64encode(each.encode()).decode()}?=" for each in (*words, pending))


def decode_value(value: str) -> str:
    """Returns a value as it was stored. Encoded words that are not valid stay as they are.

    Example:
        >>> decode_value("=?UTF-8?B?UmVuw6k=?="), decode_value("=?utf-8?Q?a_=C3=BC?= b"), decode_value("=?x")
        ('René', 'a ü b', '=?x')
    """
    return _WORDS.sub(_decoded, value) if "=?" in value else value


def _decoded(found: re.Match[str]) -> str:
    """Decodes adjacent encoded words. White space between them is no part of the value."""
    pieces: list[tuple[str, bytes]] = []
    try:
        for charset, code, text in _WORD.findall(found[0]):
            data = base64.b64decode(text, validate=True) if code in "bB" else binascii.a2b_qp(text, header=True)
            if pieces and pieces[-1][0] == charset.lower():  # a character may be cut between two words
                data = pieces.pop()[1] + data
            pieces.append((charset.lower(), data))
        return "".join(data.decode(charset) for charset, data in pieces)
    except (LookupError, ValueError):
        return found[0]
