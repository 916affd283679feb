"""White space around settings that cannot be meant.

Keys, names and endpoints are pasted from web pages, read from files that end in a line feed, and passed through tools
that keep a byte order mark. Such characters would end up in a signature or a header. They are removed around every text
that cannot contain them. A password may begin or end with a space, but not with a line break.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret

__all__ = ["check_secret", "trim", "trim_line_ends", "trim_texts"]

_LINE_ENDS = "\r\n\x85\u2028\u2029\ufeff"
_BLANKS = f"{_LINE_ENDS}\t\v\f \xa0\u200b\u2060"


def trim(text: str) -> str:
    r"""Returns a text without the white space and byte order marks around it; a `Secret` stays one.

    Example:
        >>> trim("\ufeffAKIDEXAMPLE\r\n")
        'AKIDEXAMPLE'
    """
    return _stripped(text, _BLANKS)


def trim_line_ends(text: str) -> str:
    """Returns a password without the line breaks and byte order marks around it; a `Secret` stays one."""
    return _stripped(text, _LINE_ENDS)


def trim_texts(settings: Any, *names: str, passwords: Iterable[str] = ()) -> None:
    """Trims settings of a frozen dataclass; what is not a text is left as it is.

    Args:
        settings: the settings.
        names: the texts around which no white space can be meant.
        passwords: the texts around which no line break can be meant.

    Example:
        >>> def __post_init__(self) -> None:
        ...     trim_texts(self, "endpoint", "user", passwords=["password"])
    """
    for name in names:
        _replace(settings, name, _BLANKS)
    for name in passwords:
        _replace(settings, name, _LINE_ENDS)


def check_secret(name: str, secret: str) -> None:
    """Refuses keys and tokens with a line break or a control character in them, or with quotes around them.

    Args:
        name: the setting's name, for the message.
        secret: the key or the token, which no message shows.

    Raises:
        ConfigurationError: naming the setting.
    """
    if not secret.isprintable():
        raise ConfigurationError(f"{name} is not allowed: it has a line break or a control character in it")
    if len(secret) > 1 and secret[0] == secret[-1] and secret[0] in "\"'`":
        raise ConfigurationError(f"{name} is not allowed: it begins and ends with a quote; write it without quotes")


def _replace(settings: Any, name: str, characters: str) -> None:
    value = getattr(settings, name)
    if isinstance(value, str):
        object.__setattr__(settings, name, _stripped(value, characters))


def _stripped(text: str, characters: str) -> str:
    stripped = text.strip(characters)
    return Secret(stripped) if isinstance(text, Secret) else stripped
