"""The rules of remote and local paths. Hostile names stop here.

A remote path is written `/first/second/name`; its *key* is the same without the leading slash. For a cloud the
first segment is the bucket or container. A trailing slash means a directory.
"""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from dataclasses import dataclass

from dxflow_async.exceptions import ConfigurationError, UnsafePathError
from dxflow_async.foreign_locations import without_secrets, written_here

__all__ = [
    "MAX_KEY_BYTES",
    "PROVIDERS",
    "Location",
    "check_key",
    "fold_name",
    "is_local_path",
    "key_of",
    "local_name",
    "parent_of",
    "parse_location",
    "provider_name",
    "unit_path",
    "unknown_scheme",
    "utf8_shown",
]

MAX_KEY_BYTES = 1024
"""The longest object key of S3, Google Cloud Storage and Azure (there: characters), in bytes of UTF-8."""

PROVIDERS = ("AWS", "AZURE", "GCP")
"""The documented names of the account's providers."""

_SCHEMES = (*(name.lower() for name in PROVIDERS), "unit", "local")

_SCHEME = re.compile(r"[A-Za-z0-9+.@_-]+")
"""What is taken for a scheme where no slash follows its colon."""

# Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\..*)?", re.IGNORECASE | re.DOTALL
)
_NOT_ON_WINDOWS = re.compile(r'[\x00-\x1f<>:"|?*\\]')


@dataclass(frozen=True, slots=True)
class Location:
    """A place: a provider's name (`"LOCAL"` for this machine) and a path there."""

    provider: str
    path: str

    def __str__(self) -> str:
        return self.path if self.provider == "LOCAL" else f"{self.provider.lower()}:{self.path}"


def provider_name(provider: str) -> str:
    """A provider's name in capitals.

    Raises:
        ConfigurationError: it is none of `PROVIDERS`.
    """
    name = provider.upper() if isinstance(provider, str) else provider
    if name not in PROVIDERS:
        raise ConfigurationError(f"provider = {provider!r} is not allowed; it must be one of {', '.join(PROVIDERS)}")
    return name


def parse_location(text: str) -> Location:
    """What `aws:/bucket/key`, `unit:/Demo/results/x`, `local:/dir/file` or a plain local path names.

    Raises:
        ConfigurationError: an empty text, an unknown scheme, or a provider whose path does not start with a slash.

    Example:
        >>> parse_location("aws:/bucket/key")
        Location(provider='AWS', path='/bucket/key')
        >>> str(parse_location("./my-data"))
        './my-data'
    """
    if not text:
        raise ConfigurationError("a location must not be empty; write aws:/bucket/key or a local path")
    scheme, colon, rest = text.partition(":")
    if unknown_scheme(text) is not None:
        raise _not_known(scheme, rest)
    if not colon or scheme.lower() not in _SCHEMES:
        return Location("LOCAL", text)
    if scheme.lower() == "local":
        return Location("LOCAL", rest or ".")
    if not rest.startswith("/"):
        shown = without_secrets(rest)
        raise ConfigurationError(f"location {scheme}:{shown}: write {scheme}:/{shown}, with a slash after the colon")
    return Location(scheme.upper(), rest)


def unknown_scheme(text: str, *, windows: bool = os.name == "nt") -> str | None:
    """What stands before the colon of a location that is written like one of a provider, and is none that is known.

    A slash before the colon, or a `~` at the beginning, makes a text a local path. So does a drive letter on Windows.

    Example:
        >>> unknown_scheme("s3://bucket/key"), unknown_scheme("report:2024.csv"), unknown_scheme("dir/report:2024.csv")
        ('s3', 'report', None)
    """
    scheme, colon, rest = text.partition(":")
    if not colon or scheme.lower() in _SCHEMES or "/" in scheme or os.sep in scheme or scheme.startswith("~"):
        return None
    if windows and len(scheme) == 1 and scheme.isalpha():
        return None
    # A first directory whose name ends in a colon is a mistake whatever its letters are.
    return scheme if rest.startswith("/") or _SCHEME.fullmatch(scheme) else None


def is_local_path(text: str, *, new: bool) -> bool:
    """Whether a text with an unknown scheme is a local path after all: there is something of that name. Blocks.

    Args:
        text: as users wrote it.
        new: it may be a name to give, so that its first directory is enough; else it may be a pattern.
    """
    if "\0" in text:
        return False
    if os.path.lexists(text):
        return True
    first, slash, rest = text.partition("/")
    if new:
        return bool(slash) and not rest.startswith("/") and os.path.isdir(first)
    return glob.has_magic(text) and any(True for _ in glob.iglob(text, recursive=True))


def _not_known(scheme: str, rest: str) -> ConfigurationError:
    """The error for a location with an unknown scheme; it repeats no secret."""
    import difflib

    shown = without_secrets(f"{scheme}:{rest}")
    known = ", ".join(f"{each}:" for each in _SCHEMES)
    write = written_here(scheme, rest)
    if write is None and (near := difflib.get_close_matches(scheme.lower(), _SCHEMES, 1)):
        write = f"{near[0]}:/{without_secrets(rest).lstrip('/')}"
    advice = [f"write {write}"] if write is not None else []
    if not rest.startswith("//"):
        local = f"./{shown}" if shown == f"{scheme}:{rest}" else "it with ./ in front"
        advice.append(f"for a local path of that name write {local}")
    return ConfigurationError(
        f"location {shown}: {scheme}: is not a known place (known are {known}); "
        + (", or ".join(advice) or "write aws:/bucket/key or the like")
    )


def unit_path(path: str) -> tuple[str, str]:
    """Which unit the path of a `unit:` location names, and the path inside it; the unit alone is its root directory.

    Raises:
        ConfigurationError: it names none.

    Example:
        >>> unit_path("/Demo/results/x.dat"), unit_path("/Demo")
        (('Demo', '/results/x.dat'), ('Demo', '/'))
    """
    name, _, rest = key_of(path).partition("/")
    if not name:
        raise ConfigurationError(f"location unit:{path} names no unit; write unit:/NAME/path")
    return name, f"/{rest}"


def key_of(path: str) -> str:
    """The key of a remote path: without leading slashes. Nothing else is changed."""
    return os.fspath(path).lstrip("/")


def parent_of(path: str) -> str:
    """The directory of a path, with its trailing slash.

    Example:
        >>> parent_of("/a/b"), parent_of("/a/b/"), parent_of("/a")
        ('/a/', '/a/', '/')
    """
    return path.rstrip("/").rpartition("/")[0] + "/"


def check_key(key: str, *, provider: str, operation: str) -> str:
    """The key itself, when it may be created at every provider and written to a disk again.

    Raises:
        UnsafePathError: empty, NUL, not UTF-8, too long, or with an empty, `.` or `..` segment.
    """
    reason = _key_fault(key)
    if reason:
        shown = utf8_shown(key)
        raise UnsafePathError(
            f"{provider} {operation} of /{shown!s:.200} refused: {reason}; rename it",
            provider=provider,
            operation=operation,
            path=f"/{shown}",
        )
    return key


def utf8_shown(key: str) -> str:
    """A name with escapes for what is not UTF-8: of a local name its bytes."""
    try:
        return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return key.encode("utf-8", "backslashreplace").decode()


def _key_fault(key: str) -> str | None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "the name is not UTF-8, as the names of remote objects have to be"
    if not key:
        return "the name is empty"
    if "\0" in key:
        return "the name has a NUL character"
    if size - key.find("/") - 1 > MAX_KEY_BYTES:  # the bucket in front of an object's key does not count
        return f"the name has {size} bytes, and {MAX_KEY_BYTES} is the limit"
    segments = key.removesuffix("/").split("/")
    if "" in segments:
        return "the name has an empty segment (//), which not every provider keeps"
    return "the name has a '.' or '..' segment" if "." in segments or ".." in segments else None


def local_name(relative: str, *, windows: bool = os.name == "nt") -> str:
    """A remote relative name as a local relative path that stays where it is put.

    Any name that a POSIX system can hold is a plain name there, also `C:x`, `NUL` and those with a
    backslash; Windows takes them for something else, so that they are refused there.

    Raises:
        UnsafePathError: absolute, climbing, empty, with NUL, or special to this platform.
    """
    name = relative.removesuffix("/")
    for segment in name.split("/"):
        reason = _segment_fault(segment, windows=windows)
        if reason is not None:
            raise UnsafePathError(
                f"download of {relative[:200]!r} refused: {reason}; give that item another name",
                operation="download",
                path=relative,
            )
    return name


def _segment_fault(segment: str, *, windows: bool) -> str | None:
    """Why one part of a name cannot be that of a local file or directory."""
    if segment in ("", ".", "..") or "\0" in segment:
        return "the name would leave the destination"
    if windows and (_DEVICES.fullmatch(segment) or _NOT_ON_WINDOWS.search(segment) or segment[-1] in " ."):
        return "Windows takes the name for another one"
    try:
        size = len(segment) if segment.isascii() else len(os.fsencode(segment))
    except UnicodeEncodeError:
        return "the name is not valid Unicode"
    return "one part of the name has over 255 bytes, which no local file system holds" if size > 255 else None


def fold_name(name: str) -> str:
    """What names have in common that a file system without regard to case or to ways of writing letters confuses.

    Example:
        >>> folded("Caf\u00e9") == folded("CAFE\u0301")
        True
    """
    if name.isascii():
        return name.lower()
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "".join(character for character in plain if unicodedata.category(character) != "Cf")
