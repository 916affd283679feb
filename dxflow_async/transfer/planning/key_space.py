"""Estimates where keys lie between two others, to share out a long listing.

A key is read as a number. Each position of the text is a digit, and the characters that were seen at that position are
its values. Keys made by programs (`img-000123.png`, `year=2026/month=11/part-4.parquet`, hexadecimal digests) are then
spread almost evenly, so the middle of two numbers is close to the middle of the keys. A wrong estimate costs a request,
never a key.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

__all__ = ["KeySpace"]

_DIGITS = "0123456789"
_NUMBER = re.compile("[0-9]+")
_HEX = "abcdef"
_DEPTH = 24
"""Positions that are looked at after the part that two keys have in common."""

_LENGTH = 256
"""Positions of a key whose characters are remembered. Keys that differ only beyond that are not told apart."""

_TURNS = 2
"""Times that a position has gone through its values before those that were seen count as all."""

_SAMPLES = 24
"""Keys of a page that are looked at for their characters."""


class KeySpace:
    """The keys below a prefix, as far as they were seen.

    Args:
        prefix: the beginning that all keys have.
        separator: what stands for the slash, if keys were changed to stand in the order of their directories.
    """

    def __init__(self, prefix: str, separator: str = "/") -> None:
        self._separator = separator
        self._start = len(prefix)
        self._prefix = prefix
        self._seen: list[set[str]] = []
        self._values: dict[tuple[int, bool], list[str]] = {}
        self._turns: list[int] = []

    def learn(self, keys: Sequence[str]) -> None:
        """Remembers the characters of some keys that were listed. The end of a key counts as an empty character."""
        seen, step = self._seen, max(1, len(keys) // _SAMPLES)
        before = ""
        for key in (*keys[::step], *keys[-1:]):
            text = key[self._start : self._start + _LENGTH]
            if before:
                self._turn(before, text)
            before = text
            while len(seen) <= len(text):
                seen.append(set())
            for position, character in enumerate((*text, "")):
                if character not in seen[position]:
                    seen[position].add(character)
                    self._values.pop((position, False), None)
                    self._values.pop((position, True), None)

    def _turn(self, before: str, text: str) -> None:
        """Remembers which positions went through all their values between two keys of a page.

        It is as with the digits of a counter: where one goes on, those behind it have come to their last value.
        """
        begin, end, turns = self._common_of(before, text) + 1, len(text), self._turns
        if begin >= end or (len(turns) >= end and min(turns[begin:end]) >= _TURNS):
            return
        if _NUMBER.split(before) == _NUMBER.split(text):  # names of another kind say nothing about these
            turns += [0] * (end - len(turns))
            for position in range(begin, end):
                turns[position] += 1
                if turns[position] == _TURNS:
                    self._values.pop((position, False), None)

    def share(self, low: str, high: str | None, first: str, last: str) -> float:
        """Returns the distance from `low` to `high` in multiples of the distance from `first` to `last`.

        Args:
            low: a key, or the prefix.
            high: a greater key; None for the end of all keys.
            first: the first key of a page.
            last: its last one.
        """
        inner = self._common(first, last)
        outer = self._common(low, high)
        span = range(min(inner, outer), max(inner, outer) + _DEPTH)
        bottom, top = self._ends(low, high, span)
        page = self._number(last, span) - self._number(first, span)
        return (top - bottom) / page if page > 0 else float("inf")

    def middle(self, low: str, high: str | None, first: str, last: str, *, wide: bool = False) -> str | None:
        """Returns a text between two keys, near the middle of the keys there; None if there is none to be found.

        Args as for `share`, and:
            wide: expect characters, too, that were not seen yet.
        """
        outer = self._common(low, high)
        if outer > len(self._seen):
            return None  # no key is that long
        span = range(outer, max(outer, self._common(first, last)) + _DEPTH)
        bottom, top = self._ends(low, high, span, wide=wide)
        number, characters = (bottom + top) // 2, []
        for position in reversed(span):
            values = self._likely(position, wide=wide)
            number, digit = divmod(number, len(values))
            characters.append(values[digit])
        text = ""
        for character in reversed(characters):
            if not character:
                break
            text += character
        # Servers that keep objects as files may leave out the content of a directory whose bare name they are given.
        between = f"{low[: self._start + outer]}{text}".rstrip(self._separator) + self._separator
        return between if low < between and (high is None or between < high) else None

    def _common(self, low: str, high: str | None) -> int:
        """Returns how many positions after the prefix two keys have in common."""
        if high is None:
            return 0
        return self._common_of(low[self._start :], high[self._start :])

    @staticmethod
    def _common_of(one: str, other: str) -> int:
        end = min(len(one), len(other))
        return next((number for number in range(end) if one[number] != other[number]), end)

    def _ends(self, low: str, high: str | None, span: range, *, wide: bool = False) -> tuple[int, int]:
        bottom = self._number(low, span, wide=wide)
        if high is not None:
            return bottom, self._number(high, span, wide=wide)
        top = 1
        for position in span:
            top *= len(self._likely(position, wide=wide))
        return bottom, top

    def _number(self, key: str, span: range, *, wide: bool = False) -> int:
        number, text = 0, key[self._start : self._start + span.stop]
        for position in span:
            values = self._likely(position, wide=wide)
            digit = bisect_left(values, text[position]) if position < len(text) else 0
            number = number * len(values) + min(digit, len(values) - 1)
        return number

    def _likely(self, position: int, *, wide: bool) -> list[str]:
        """Returns the characters that are likely at a position, in their order."""
        values = self._values.get((position, wide))
        if values is None:
            seen = self._seen[position] if position < len(self._seen) else {""}
            likely = _with_kin(seen)
            if wide:
                likely = likely.union(_later(max(seen) or " "))
            elif position < len(self._turns) and self._turns[position] >= _TURNS:
                digits = seen.intersection(_DIGITS) or {""}
                likely = {each for each in likely if each not in _DIGITS or min(digits) <= each <= max(digits)}
            values = self._values[position, wide] = sorted(likely)
        return values


def _with_kin(seen: set[str]) -> set[str]:
    """Returns the characters that were seen, and those of their kind where they vary."""
    digits = any(character in _DIGITS for character in seen)
    likely = seen | set(_DIGITS) if digits else set(seen)
    for alphabet in ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        letters = seen & set(alphabet)
        if len(letters) > 1 or (letters and digits):
            hexadecimal = digits and letters <= set(alphabet[: len(_HEX)])
            likely |= set(alphabet[: len(_HEX)]) if hexadecimal else set(alphabet)
    others = sorted(character for character in seen if character > "\x7f")
    for one, other in pairwise(others):
        likely.update(character for character in _later(one) if character < other)
    return likely


def _later(character: str) -> Iterable[str]:
    """Yields characters behind one: many close to it, some far away."""
    for bits in range(20):
        code = ord(character) + (1 << bits)
        if code <= sys.maxunicode and chr(code).isprintable():
            yield chr(code)
