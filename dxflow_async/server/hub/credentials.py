"""What somebody signs in with, checked field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dxflow_async.exceptions import ConfigurationError

__all__ = ["Credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody signs in with.

    Args:
        email: at most 254 bytes; its case does not matter.
        password: 1 to 1024 bytes.
        namespace: 1 to 128 bytes.

    Raises:
        ConfigurationError: naming the field, its value (never the password's) and what is allowed.
    """

    email: str
    password: str = field(repr=False)
    namespace: str

    def __post_init__(self) -> None:
        _check("email", self.email, 254, r"[^@\s]{1,64}@[^@\s]+", "an address such as me@example.org, up to 254 bytes")
        _check("namespace", self.namespace, 128, r"\S(.*\S)?", "a name of 1 to 128 bytes")
        if not 0 < _size(self.password) <= 1024:
            raise ConfigurationError("password is not allowed; it must be text of 1 to 1024 bytes")

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """Credentials from a request's JSON object; keys that are not known are ignored."""
        return cls(tree.get("email"), tree.get("password"), tree.get("namespace"))  # type: ignore[arg-type]


def _check(name: str, value: object, high: int, pattern: str, allowed: str) -> None:
    if not (0 < _size(value) <= high and str(value).isprintable() and re.fullmatch(pattern, str(value))):
        raise ConfigurationError(f"{name} = {value!r:.100} is not allowed; it must be {allowed}")


def _size(value: object) -> int:
    """Bytes of a text in UTF-8; 0 when it is no text or not valid Unicode."""
    try:
        return len(value.encode()) if isinstance(value, str) else 0
    except UnicodeEncodeError:
        return 0
