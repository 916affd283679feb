"""Entity tags: how they are read from answers, compared, and sent back as conditions.

An entry keeps a strong ETag without its quotes (`abc`) and a weak one as it was sent (`W/"abc"`). `If-Match` uses the
strong comparison, so a weak ETag never matches. A proxy that compresses makes ETags weak or adds a suffix to them
(`"abc-gzip"`), which the server behind it does not know. Such ETags are never sent as conditions; the ETag of each
answer is compared instead.

Sources: https://www.rfc-editor.org/rfc/rfc9110 (sections 8.8.3.2 and 13.1.1),
https://httpd.apache.org/docs/2.4/mod/mod_deflate.html (`DeflateAlterETag`)
"""

from __future__ import annotations

import re

__all__ = ["if_match", "is_weak", "opaque_tag", "parse_etag", "same_etag"]

_TAG = re.compile(r"[\x21\x23-\x7e]+")
_SUFFIX = re.compile(r"(?:--|[-;])(?:gzip|br|deflate|zstd)$")


def parse_etag(text: str | None) -> str | None:
    """Returns an ETag of a header or an XML element as entries keep it; None if there is none.

    Args:
        text: the header's value, or the element's text; None where it is missing.

    Returns:
        A strong ETag without its quotes, a weak one as it was sent; None.

    Example:
        >>> parse_etag('"abc"'), parse_etag("abc"), parse_etag('W/"abc"'), parse_etag('""')
        ('abc', 'abc', 'W/"abc"', None)
    """
    if not text:
        return None
    text = text.strip()
    if text.startswith("W/"):
        return text if text[2:].strip('"') else None
    return text.strip('"') or None


def is_weak(etag: str) -> bool:
    """Returns whether a server may not recognize an ETag: it is weak, or a proxy that compresses has changed it."""
    return etag.startswith("W/") or _SUFFIX.search(etag.rstrip('"')) is not None


def if_match(etag: str | None) -> str | None:
    """Returns an entry's ETag as the value of `If-Match`; None if it cannot be a condition.

    Args:
        etag: as in `Entry.etag`.

    Returns:
        The ETag in quotes; None for a weak one, one that a proxy has changed, and none.

    Example:
        >>> if_match("abc"), if_match('W/"abc"'), if_match("abc-gzip"), if_match(None)
        ('"abc"', None, None, None)
    """
    if etag is None or _TAG.fullmatch(etag) is None or is_weak(etag):
        return None
    return f'"{etag}"'


def opaque_tag(etag: str) -> str:
    """Returns the tag that the server itself gave an object, without marks that proxies add.

    Example:
        >>> opaque_tag("abc"), opaque_tag('W/"abc"'), opaque_tag("abc-gzip")
        ('abc', 'abc', 'abc')
    """
    return _SUFFIX.sub("", etag.removeprefix("W/").strip('"')) if is_weak(etag) or '"' in etag else etag


def same_etag(one: str | None, other: str | None) -> bool:
    """Returns whether two answers may be about one version: the ETags are equal, or one of them is not known.

    A weak ETag equals the strong one of the same tag, because proxies weaken ETags.

    Args:
        one: an ETag as in `Entry.etag`; None if it is not known.
        other: the one that it is compared with.

    Returns:
        False only if they certainly are of two versions.

    Example:
        >>> same_etag("abc", 'W/"abc"'), same_etag("abc", None), same_etag("abc", "abd")
        (True, True, False)
    """
    return one == other or one is None or other is None or opaque_tag(one) == opaque_tag(other)
