"""Sizes and durations that people write as text, such as `"64MiB"` or `"7d"`."""

from __future__ import annotations

import math
import re
from typing import Any

from dxflow_async.config.validation import not_allowed
from dxflow_async.exceptions import ConfigurationError

__all__ = ["OptionalSize", "Seconds", "Size", "parse_seconds", "parse_size", "to_seconds", "to_size"]

_UNITS = "KMGTPE"
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE = "a size such as 64MiB, 50MB or a number of bytes"
_DURATION = "a duration such as 90s, 2h, 7d or a number of seconds"


def parse_size(text: str) -> int:
    """Parses `"8MiB"`, `"1.5 GiB"`, `"64k"` or a plain number into bytes; a bare k, M, G, T, P or E is binary.

    Raises:
        ValueError: not a size.

    Example:
        >>> parse_size("8MiB"), parse_size("64k"), parse_size("10 MB")
        (8388608, 65536, 10000000)
    """
    match = re.fullmatch(r"\s*([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*(?:([kKmMgGtTpPeE])(i?[bB]?)|[bB])?\s*", text)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    number, letter, suffix = match.groups()
    power = 0 if letter is None else 1 + _UNITS.index(letter.upper())
    base = 1000 if suffix in ("B", "b") else 1024
    whole, _, fraction = number.partition(".")
    size: int = int(whole + fraction) * base**power // 10 ** len(fraction)
    return size


def parse_seconds(text: str) -> float:
    """Parses a number of seconds, which may be followed by ms, s, m, h, d or w.

    Raises:
        ValueError: not a duration.

    Example:
        >>> parse_seconds("90"), parse_seconds("1.5 h"), parse_seconds("7d")
        (90.0, 5400.0, 604800.0)
    """
    match = re.fullmatch(r"\s*([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*(ms|min|[smhdw]?)\s*", text.lower())
    if match is None:
        raise ValueError(f"not a duration: {text!r}")
    return float(match[1]) * _SECONDS[match[2]]


def to_size(name: str, value: Any) -> int:
    """Returns a size in bytes that was given as a number or as text.

    Args:
        name: what was given, for the error.
        value: the size.

    Raises:
        ConfigurationError: it is not a size, or is negative.

    Example:
        >>> to_size("part_size", "64MiB"), to_size("part_size", 5)
        (67108864, 5)
    """
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError:
            raise ConfigurationError(not_allowed(name, value, _SIZE)) from None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(not_allowed(name, value, _SIZE))
    return value


def to_seconds(name: str, value: Any) -> float:
    """Returns a duration in seconds that was given as a number or as text.

    Args:
        name: what was given, for the error.
        value: the duration.

    Raises:
        ConfigurationError: it is not a duration, or is negative or infinite.

    Example:
        >>> to_seconds("expires", "2h"), to_seconds("expires", 90)
        (7200.0, 90)
    """
    if isinstance(value, str):
        try:
            return parse_seconds(value)
        except ValueError:
            raise ConfigurationError(not_allowed(name, value, _DURATION)) from None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (value >= 0 and math.isfinite(value)):
        raise ConfigurationError(not_allowed(name, value, _DURATION))
    seconds: float = value
    return seconds


class _Quantity:
    """The base of settings that are given as numbers or as text, and read as numbers."""

    def __init__(self, default: Any) -> None:
        self._default = default
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def _get(self, instance: Any) -> Any:
        return self._default if instance is None else vars(instance)[self._name]

    def _set(self, instance: Any, value: Any, allowed: str) -> None:
        if isinstance(value, str):
            try:
                value = parse_seconds(value) if allowed is _DURATION else parse_size(value)
            except ValueError:
                raise ConfigurationError(not_allowed(self._name, value, allowed)) from None
        vars(instance)[self._name] = value


class Size(_Quantity):
    """A setting in bytes: given as a number or as text, read as a number. The settings check its range."""

    def __get__(self, instance: Any, owner: type) -> int:
        size: int = self._get(instance)
        return size

    def __set__(self, instance: Any, value: int | str) -> None:
        self._set(instance, value, _SIZE)


class OptionalSize(_Quantity):
    """As `Size`; None is a value, too."""

    def __get__(self, instance: Any, owner: type) -> int | None:
        size: int | None = self._get(instance)
        return size

    def __set__(self, instance: Any, value: int | str | None) -> None:
        self._set(instance, value, _SIZE)


class Seconds(_Quantity):
    """A setting in seconds: given as a number or as text, read as a number. The settings check its range."""

    def __get__(self, instance: Any, owner: type) -> float:
        seconds: float = self._get(instance)
        return seconds

    def __set__(self, instance: Any, value: float | str) -> None:
        self._set(instance, value, _DURATION)
