"""The docstring of an asynchronous method as its blocking twin has it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

__all__ = ["blocking_lines"]

_CHANGES = (
    (r"\bawait ", ""),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\banext\(", "next("),
    (r"\bAsync(Session|AreaStorage|StorageManager|ComputeManager|ComputeUnit|UnitStorage|StoragePath)\b", r"\1"),
    (r"\baclose\b", "close"),
)


def blocking_lines(method: Callable[..., object]) -> list[str]:
    """Returns the lines of a method's docstring, with the words of blocking code."""
    text = inspect.getdoc(method) or ""
    for pattern, replacement in _CHANGES:
        text = re.sub(pattern, replacement, text)
    return text.splitlines()
