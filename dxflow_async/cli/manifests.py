"""Lists of checksums: those of sha256sum and its siblings, of crc32c tools, and the manifests of BagIt.

A line is `DIGEST  NAME`, with a star before the name for binary mode, or `ALGORITHM (NAME) = DIGEST`. The length of the
digest tells its algorithm. In the lists of GNU's tools a backslash before the digest says that the name has escapes; in
BagIt's manifests, which are named `manifest-ALGORITHM.txt`, the name is percent-encoded where it must be.

Sources: the manual of GNU coreutils, "sha256sum invocation" and "md5sum invocation"; RFC 8493 (BagIt), section 2.1.3
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import ConfigurationError

__all__ = [
    "ALGORITHMS",
    "BAG_DECLARATION",
    "Digest",
    "Listed",
    "Manifest",
    "algorithm_of_name",
    "bag_algorithm",
    "format_manifest",
]

BAG_DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
"""The content of `bagit.txt` (RFC 8493, section 2.1.1)."""

_LINE = re.compile(r"(\\?)([0-9a-fA-F]+)[ \t][* ]?(.+)", re.DOTALL)
_BSD_LINE = re.compile(r"(\\?)[A-Za-z0-9-]+ \((.+)\) = ([0-9a-fA-F]+)", re.DOTALL)
_BAG_NAME = re.compile(r"(?:.*/)?manifest-([a-z0-9]+)\.txt")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_BAG_ESCAPES = {"%0A": "\n", "%0D": "\r", "%25": "%"}


class Digest(Protocol):
    """A digest of the bytes so far, as those of hashlib."""

    def update(self, data: bytes) -> None:
        """Adds the next bytes."""

    def hexdigest(self) -> str:
        """Returns the digest of all bytes so far."""


class _CRC32C:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = crc32c(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


ALGORITHMS: dict[str, tuple[int, Callable[[], Digest]]] = {
    "crc32c": (8, _CRC32C),
    "md5": (32, lambda: hashlib.md5(usedforsecurity=False)),
    "sha1": (40, lambda: hashlib.sha1(usedforsecurity=False)),
    "sha256": (64, hashlib.sha256),
    "sha512": (128, hashlib.sha512),
}
"""The number of hexadecimal digits of each algorithm, and what makes its digest."""


class Listed(NamedTuple):
    """A line: the algorithm, and the digest in small letters."""

    algorithm: str
    digest: str


class Manifest:
    r"""The files that a list names, each with its digest.

    Args:
        text: the content of the list.
        name: the list's name, for errors, and because BagIt's manifests have names and escapes of their own.

    Raises:
        ConfigurationError: a line is no line of such a list, or names something outside of the directory.

    Example:
        >>> Manifest("d0a1fbd3  a.txt\n", "list.crc32c").files
        {'a.txt': Listed(algorithm='crc32c', digest='d0a1fbd3')}
    """

    def __init__(self, text: str, name: str) -> None:
        self.is_bag = bag_algorithm(name) is not None
        self.files: dict[str, Listed] = {}
        lines = re.split("\r?\n", text.removeprefix("\ufeff"))
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = self._parse(line)
            if found is None:
                raise ConfigurationError(
                    f"{name}, line {number}: {line[:80]!r} is not allowed; a line is a checksum (crc32c, md5, sha1, "
                    "sha256 or sha512) and a name"
                )
            path, listed = found
            if path.startswith("/") or ".." in path.split("/"):
                raise ConfigurationError(
                    f"{name}, line {number}: {path!r} is not allowed; names are relative to the directory, without .."
                )
            self.files[path] = listed

    def _parse(self, line: str) -> tuple[str, Listed] | None:
        if (match := _BSD_LINE.fullmatch(line)) is not None:
            escaped, path, digest = match.groups()
        elif (match := _LINE.fullmatch(line)) is not None:
            escaped, digest, path = match.groups()
        else:
            return None
        algorithm = next((name for name, (length, _) in ALGORITHMS.items() if length == len(digest)), None)
        if algorithm is None:
            return None
        if self.is_bag:
            path = re.sub("^[ \t]+", "", path)
            path = re.sub("%(?:0A|0D|25)", lambda found: _BAG_ESCAPES[found[0].upper()], path, flags=re.IGNORECASE)
        elif escaped:
            path = re.sub(r"\\[\\nr]", lambda found: _ESCAPES[found[0]], path)
        return path.removeprefix("./"), Listed(algorithm, digest.lower())


def format_line(path: str, digest: str, *, bag: bool) -> str:
    r"""Formats a line of a list, with the escapes that the name needs.

    Example:
        >>> format_line("a.txt", "d0a1fbd3", bag=False), format_line("a\nb", "d0a1fbd3", bag=False)
        ('d0a1fbd3  a.txt\n', '\\d0a1fbd3  a\\nb\n')
    """
    if bag:
        written = path.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")
        return f"{digest}  {written}\n"
    written = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if written == path else chr(92)}{digest}  {written}\n"


def format_manifest(files: Iterable[tuple[str, str]], *, bag: bool) -> str:
    """Formats a list of names and digests, sorted by name."""
    return "".join(format_line(path, digest, bag=bag) for path, digest in sorted(files))


def bag_algorithm(name: str) -> str | None:
    """Returns the algorithm that the name of a BagIt manifest tells; None for another name.

    Example:
        >>> bag_algorithm("aws:/bucket/bag/manifest-sha512.txt"), bag_algorithm("sums.txt")
        ('sha512', None)
    """
    found = _BAG_NAME.fullmatch(name)
    return found[1] if found is not None and found[1] in ALGORITHMS else None


def algorithm_of_name(name: str) -> str:
    """Returns the algorithm of a new list: the one that its name tells, else SHA-256.

    Example:
        >>> algorithm_of_name("sums.crc32c"), algorithm_of_name("SHA512SUMS"), algorithm_of_name("list.txt")
        ('crc32c', 'sha512', 'sha256')
    """
    file = name.rpartition("/")[2].lower()
    return next((each for each in ALGORITHMS if each in file), "sha256")
