"""Locations as the page's API writes them, and which of them a visitor may name."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Protocol
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web

from dxflow_async.server.common.middleware import refusal

__all__ = ["AccountScope", "MachineScope", "Scope", "check_name", "decode_location", "encode_location", "is_odd"]

_ODD = "%:"
"""Precedes a percent-encoded location. No remote has that name, since `%` is not in one."""

_MAX_LENGTH = 8192
_REMOTE = re.compile(r"(aws|azure|gcp|unit):/", re.IGNORECASE)


class Scope(Protocol):
    """The locations that a visitor may name."""

    def check(self, location: str) -> str:
        """Returns a location that the visitor may name.

        Raises:
            HTTPForbidden: the visitor may not.
        """
        ...


class MachineScope:
    """All locations: the visitor is the user of this machine."""

    def check(self, location: str) -> str:
        return location


class AccountScope:
    """The account's remotes and units, and nothing of the machine that the hub runs on.

    A text is believed to be such a location only if it is written `aws:/...`, `azure:/...`, `gcp:/...` or
    `unit:/NAME/...`: no other text can name a disk, a URL or a remote of the machine.

    Args:
        remotes: the names of the remotes that the account has settings of.
    """

    def __init__(self, remotes: Collection[str]) -> None:
        self._remotes = {*remotes, "unit"}

    def check(self, location: str) -> str:
        match = _REMOTE.match(location)
        if match is None:
            text = "write aws:/, azure:/, gcp:/ or unit:/NAME/; the hub's page reaches no other place"
            raise refusal(web.HTTPForbidden, "outside", text)
        name = match[1].lower()
        if name not in self._remotes:
            text = (
                f"the account has no usable settings of {name} at this hub; keep some with dxflow-async providers keep"
            )
            raise refusal(web.HTTPForbidden, "outside", text)
        return location


def decode_location(text: object) -> str:
    """Returns the location that a request names.

    Raises:
        HTTPBadRequest: it is not a text that can be one.
    """
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_LENGTH:
        raise refusal(web.HTTPBadRequest, "invalid_location", f"a location is a text of 1 to {_MAX_LENGTH} characters")
    if text.startswith(_ODD):
        text = unquote_to_bytes(text.removeprefix(_ODD)).decode("utf-8", "surrogateescape")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise refusal(web.HTTPBadRequest, "invalid_location", "the location is not valid Unicode") from None
    if "\0" in text:
        raise refusal(web.HTTPBadRequest, "invalid_location", "a location must not contain NUL")
    return text


def encode_location(location: str) -> str:
    r"""Returns a location as the API writes it: as it is, or percent-encoded where its bytes are not UTF-8.

    Example:
        >>> encode_location("aws:/bucket/a b"), encode_location("local:/tmp/\udcff")
        ('aws:/bucket/a b', '%:local%3A/tmp/%FF')
    """
    if not (is_odd(location) or location.startswith(_ODD)):
        return location
    return _ODD + quote(location.encode("utf-8", "surrogateescape"), safe="/")


def is_odd(text: str) -> bool:
    """Returns whether a name's bytes are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def check_name(name: object) -> str:
    """Returns the new name of an item, which is one component of a path.

    Raises:
        HTTPBadRequest: it is not one.
    """
    if not isinstance(name, str) or not name or name in (".", "..") or "/" in name or "\0" in name or len(name) > 1024:
        raise refusal(web.HTTPBadRequest, "invalid_name", "a name is a text without a slash, and neither . nor ..")
    return decode_location(name) if name.startswith(_ODD) else name
