"""Makes text safe to show: it cannot control a terminal, and holds no secret."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["Secret", "holds_key", "printable", "redacted"]

_UNSAFE_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_UNSAFE_FORMATS = {chr(code) for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,20})://([^\s/?#'\"<>]*@)?([^\s?#'\"<>]*)(\?[^\s#'\"<>]+)?")

_MAX_PATH_SIZE = 4096
"""The longest path of any system, in characters."""
_KEY_TEXT = re.compile(r"\s*[{\[]|.*(-----BEGIN|private_key)|\s*(eyJ|ewo|ew0|LS0tL)[A-Za-z0-9+/=_\s-]{100}", re.DOTALL)
"""JSON, PEM, or either of them in base64."""


class Secret(str):
    """A text that no repr shows, neither its own nor that of its container. So dumps of local variables do not show it.

    Example:
        >>> {"authorization": Secret("Bearer abc")}
        {'authorization': '***'}
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def printable(text: str) -> str:
    """Returns the text with control characters and changes of direction as escapes: no terminal obeys it.

    Args:
        text: of a service or a file, such as a name.

    Returns:
        The text with the escapes of Python in the place of such characters.

    Example:
        >>> printable("a" + chr(27) + "[2J") == "a" + chr(92) + "x1b[2J"
        True
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) if _is_unsafe(character) else character for character in text)


def redacted(text: str) -> str:
    """Returns the text with the credentials and queries of its URLs replaced: a query may hold a signature.

    Args:
        text: such as the message of a foreign error.

    Returns:
        The text with `***` in their place.

    Example:
        >>> redacted("moved to https://me:pw@host/a/b?sig=abc")
        'moved to https://***@host/a/b?***'
    """
    return _URL.sub(_without_secrets, text) if "://" in text else text


def holds_key(text: str) -> bool:
    """Returns whether a text that should be the path of a key file is the file's content instead, a common mistake.

    Example:
        >>> holds_key('{"type": "service_account"}'), holds_key("/home/me/key.json")
        (True, False)
    """
    return len(text) > _MAX_PATH_SIZE or "\n" in text or _KEY_TEXT.match(text) is not None


def _without_secrets(url: re.Match[str]) -> str:
    scheme, user, rest, query = url.groups()
    return f"{scheme}://{'***@' if user else ''}{rest}{'?***' if query else ''}"


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE_CATEGORIES or character in _UNSAFE_FORMATS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
