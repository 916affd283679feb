"""Parses locations, and checks remote and local paths. Hostile names are refused here.

A remote path is written `/first/second/name`; its *key* is the same without the leading slash. At a cloud, the first
segment is the bucket or container. A path that ends in a slash names a directory.
"""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from dxflow_async.exceptions import ConfigurationError, UnsafePathError
from dxflow_async.foreign_locations import is_azure_url, without_secrets, written_here
from dxflow_async.security.redaction import Secret

__all__ = [
    "MAX_KEY_BYTES",
    "PROVIDERS",
    "URL",
    "Location",
    "check_is_path",
    "check_key",
    "fold_name",
    "is_local_path",
    "is_url",
    "key_of",
    "local_name",
    "parent_of",
    "parse_location",
    "provider_name",
    "unit_path",
    "unknown_location",
    "unknown_scheme",
    "utf8_shown",
]

MAX_KEY_BYTES = 1024
"""The longest key of S3, Google Cloud Storage and Azure (where it counts characters), in bytes of UTF-8."""

_MAX_SEGMENT_BYTES = 255
_PLAIN = re.compile(r"[\w-][\w .-]*(?:/[\w-][\w .-]*)*", re.ASCII).fullmatch
"""Matches names that every provider and every disk can hold if they are short, as nearly all names are."""

PROVIDERS = ("AWS", "AZURE", "GCP")
"""The documented names of the account's providers: the remotes that are always there."""

URL = "URL"
"""The provider of a location whose URL names the host; which remote that is depends on the settings."""

_BUILT_IN = tuple(name.lower() for name in PROVIDERS)

_CLOUD_SCHEMES = {"s3": "AWS", "gs": "GCP", "az": "AZURE"}
"""The URL schemes of clouds, of which the first segment is the bucket."""

_SCHEME = re.compile(r"[A-Za-z0-9+.@_-]+")
"""A word before a colon that no slash follows, if it is written like a scheme."""

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9-]+")
"""A word that may be the name of a remote."""

_WITH_REMOTE = re.compile(r"(aws|azure|gcp|s3|gs|az|unit|local|https?|sftp|file):/", re.IGNORECASE)
_SPLIT = re.compile(r"(?:([A-Za-z0-9+.@_-]+):)?/(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed location.

    Attributes:
        provider: the remote's name in capitals, `"UNIT"`, `"LOCAL"` for this machine, or `URL`.
        path: the path there; of a `URL` the whole URL, whose query may be a secret.
    """

    provider: str
    path: str

    def __str__(self) -> str:
        if self.provider == URL:
            return without_secrets(self.path)
        return self.path if self.provider == "LOCAL" else f"{self.provider.lower()}:{self.path}"


def provider_name(provider: str, remotes: Collection[str] = ()) -> str:
    """The name of a remote in capitals.

    Args:
        provider: the name in any case.
        remotes: the names of the remotes besides those that are always there, in small letters.

    Raises:
        ConfigurationError: there is no such remote.
    """
    name = provider.upper() if isinstance(provider, str) else provider
    if name in PROVIDERS or (isinstance(provider, str) and provider.lower() in remotes):
        return name
    known = ", ".join((*PROVIDERS, *(each.upper() for each in sorted(remotes))))
    advice = f"it must be one of {known}"
    if isinstance(provider, str) and (found := _SPLIT.fullmatch(provider)) is not None:
        remote, path = found.groups()
        advice = f"it is a path: write path={provider!r}"
        if remote is not None:
            advice = f"it is a location: write provider={remote!r} and path='/{path.lstrip('/')}', or call the session"
    elif isinstance(provider, str):
        import difflib

        names = (*PROVIDERS, *(each.upper() for each in remotes))
        near = difflib.get_close_matches(provider.upper(), names, 1)
        advice += f"; did you mean {near[0]}?" if near else ""
    raise ConfigurationError(f"provider = {without_secrets(repr(provider))} is not allowed; {advice}")


def check_is_path(path: str) -> str:
    """Returns a path at a remote, if it is not written as a location. A slash in front makes any text a path.

    Raises:
        ConfigurationError: it is a location, such as `aws:/bucket/key`, and names the remote itself.
    """
    if path.startswith("/") or (found := _WITH_REMOTE.match(path)) is None:
        return path
    rest = path[found.end() :].lstrip("/")
    raise ConfigurationError(
        f"path = {without_secrets(repr(path))} is not allowed: it is a location; give it to the session, as in "
        f"session.stat(...), or write path='/{without_secrets(rest)}' and provider={found[1].upper()!r}; a path of "
        "that name begins with a slash"
    )


def parse_location(text: str, remotes: Collection[str] = (), schemes: Collection[str] = ()) -> Location:
    """Parses a location.

    It is `aws:/bucket/key` or another remote's name with a path, `unit:/Demo/results/x`, `local:/dir/file`, a URL, or a
    local path. Of URLs, `s3://`, `gs://` and `az://` are followed by a bucket, `file://` by a local path.

    Args:
        text: the location as users write it.
        remotes: the names of the remotes besides those that are always there, in small letters.
        schemes: further schemes of URLs that name the host, such as `"sftp"`.

    Raises:
        ConfigurationError: the text is empty, its scheme is unknown, or a remote's path does not start with a slash.

    Example:
        >>> parse_location("aws:/bucket/key"), parse_location("s3://bucket/key")
        (Location(provider='AWS', path='/bucket/key'), Location(provider='AWS', path='/bucket/key'))
        >>> str(parse_location("./my-data"))
        './my-data'
    """
    if not text:
        raise ConfigurationError("a location must not be empty; write aws:/bucket/key or a local path")
    scheme, colon, rest = text.partition(":")
    name = scheme.lower()
    if colon and name in (*_BUILT_IN, "unit", *remotes):
        if not rest.startswith("/"):
            shown = without_secrets(rest)
            wanted = shown or ("NAME/path" if name == "unit" else "")
            raise ConfigurationError(
                f"location {scheme}:{shown}: write {scheme}:/{wanted}, with a slash after the colon"
            )
        return Location(name.upper(), rest)
    if colon and name == "local":
        return Location("LOCAL", rest or ".")
    if colon and rest.startswith("//") and name in _CLOUD_SCHEMES:
        return Location(_CLOUD_SCHEMES[name], _cloud_path(scheme, rest))
    if colon and rest.startswith("//") and name == "file":
        return Location("LOCAL", _file_path(rest))
    if colon and rest.startswith("//") and (name in schemes or (name == "https" and is_azure_url(text))):
        return Location(URL, Secret(text))
    if unknown_scheme(text, remotes, schemes) is not None:
        raise unknown_location(text, remotes, schemes)
    return Location("LOCAL", text)


def is_url(text: str) -> bool:
    """Whether a location is written like a URL with a scheme that `parse_location` does not know by itself."""
    scheme, separator, _ = text.partition("://")
    known = (*_CLOUD_SCHEMES, *_BUILT_IN, "file", "unit", "local")
    return bool(separator) and _SCHEME.fullmatch(scheme) is not None and scheme.lower() not in known


def unknown_scheme(text: str, remotes: Collection[str] = (), schemes: Collection[str] = ()) -> str | None:
    """Returns the text before the colon of a location, if it is written like a remote's name and is not a known one.

    A text with a slash before the colon, or with a `~` at its beginning, is a local path.

    Args:
        text, remotes, schemes: as for `parse_location`.

    Example:
        >>> unknown_scheme("b2://bucket/key"), unknown_scheme("report:2024.csv"), unknown_scheme("dir/report:2024.csv")
        ('b2', 'report', None)
    """
    scheme, colon, rest = text.partition(":")
    name = scheme.lower()
    if not colon or name in (*_BUILT_IN, "unit", "local", *remotes) or "/" in scheme or os.sep in scheme:
        return None
    if rest.startswith("//") and (name in (*_CLOUD_SCHEMES, "file", *schemes) or is_azure_url(text)):
        return None
    if scheme.startswith("~"):
        return None
    # A first directory whose name ends in a colon is a mistake whatever its letters are.
    return scheme if rest.startswith("/") or _SCHEME.fullmatch(scheme) else None


def is_local_path(text: str, *, new: bool) -> bool:
    """Whether a text with an unknown scheme is a local path after all, because something of that name exists. Blocks.

    Args:
        text: the location as the user wrote it.
        new: whether it is a destination, for which an existing first directory is enough; otherwise it may be a glob
            pattern.
    """
    if "\0" in text:
        return False
    if os.path.lexists(text):
        return True
    first, slash, rest = text.partition("/")
    if new:
        return bool(slash) and not rest.startswith("/") and os.path.isdir(first)
    return glob.has_magic(text) and any(True for _ in glob.iglob(text, recursive=True))


def _cloud_path(scheme: str, rest: str) -> str:
    """The path of `s3://bucket/key` and the like, without any decoding, as the clouds' own programs read it."""
    bucket, _, key = rest.removeprefix("//").partition("/")
    if "@" in bucket or ":" in bucket or (key and not bucket):
        shown = without_secrets(f"{scheme}:{rest}")
        raise ConfigurationError(f"location {shown}: the name of a bucket must follow; write {scheme}://bucket/key")
    return rest.removeprefix("/")


def _file_path(rest: str) -> str:
    """The path of a `file://` URL on this machine."""
    host, slash, path = rest.removeprefix("//").partition("/")
    decoded = os.fsdecode(unquote_to_bytes(f"/{path}".encode("utf-8", "surrogateescape")))
    if host.lower() not in ("", "localhost") or not slash or "\0" in decoded:
        shown = without_secrets(f"file:{rest}")
        raise ConfigurationError(f"location {shown}: write file:///dir/name, with a path of this machine, or the path")
    return decoded


def unknown_location(text: str, remotes: Collection[str] = (), schemes: Collection[str] = ()) -> ConfigurationError:
    """Makes the error for a location with an unknown scheme. It names the known ones and repeats no secret.

    Args:
        text, remotes, schemes: as for `parse_location`.
    """
    import difflib

    scheme, _, rest = text.partition(":")
    names = (*_BUILT_IN, *sorted(remotes), "unit", "local")
    shown = without_secrets(f"{scheme}:{rest}")
    known = ", ".join(f"{each}:" for each in names)
    urls = ", ".join(f"{each}://" for each in sorted({*_CLOUD_SCHEMES, "file", *schemes}))
    write = written_here(scheme, rest)
    path = without_secrets(rest).lstrip("/")
    if write is None and scheme.lower() in schemes:
        write = f"{scheme.lower()}://{path}"
    if write is None and "@" in scheme and "sftp" in schemes:  # as scp writes it
        write = f"sftp://USER@{scheme.rpartition('@')[2]}/{path}"
    if write is None and (near := difflib.get_close_matches(scheme.lower(), names, 1)):
        write = f"{near[0]}:/{path}"
    advice = [f"write {write}"] if write is not None else []
    if not rest.startswith("//"):
        if write is None and rest.startswith("/") and _REMOTE.fullmatch(scheme):
            advice.append(f"define the remote with dxflow-async remotes add {scheme.lower()}")
        local = f"./{shown}" if shown == f"{scheme}:{rest}" else "it with ./ in front"
        advice.append(f"for a local path of that name write {local}")
    return ConfigurationError(
        f"location {shown}: {scheme}: is not a known place (known are {known} and the URLs {urls}); "
        + (", or ".join(advice) or "write aws:/bucket/key or the like, or define a remote of that name")
    )


def unit_path(path: str) -> tuple[str, str]:
    """Splits the path of a `unit:` location into the unit's name and the path on it, `/` by default.

    Raises:
        ConfigurationError: the path names no unit.

    Example:
        >>> unit_path("/Demo/results/x.dat"), unit_path("/Demo")
        (('Demo', '/results/x.dat'), ('Demo', '/'))
    """
    name, _, rest = key_of(path).partition("/")
    if not name:
        raise ConfigurationError(f"location unit:{path} names no unit; write unit:/NAME/path")
    return name, f"/{rest}"


def key_of(path: str) -> str:
    """Returns the key of a remote path: the path without leading slashes."""
    return os.fspath(path).lstrip("/")


def parent_of(path: str) -> str:
    """Returns the directory of a path, with a trailing slash.

    Example:
        >>> parent_of("/a/b"), parent_of("/a/b/"), parent_of("/a")
        ('/a/', '/a/', '/')
    """
    return path.rstrip("/").rpartition("/")[0] + "/"


def check_key(key: str, *, provider: str, operation: str, byte_names: bool = False, any_names: bool = False) -> str:
    """Returns a key if the provider can store it; without `any_names`, if every provider can and a disk can hold it.

    Args:
        key: the key.
        provider, operation: what errors name.
        byte_names: whether the provider's names need not be UTF-8.
        any_names: whether the provider keeps empty, `.` and `..` segments after the first one, the bucket.

    Raises:
        UnsafePathError: the key is empty, too long or not UTF-8, or has a NUL or an empty, `.` or `..` segment.
    """
    if len(key) <= MAX_KEY_BYTES and _PLAIN(key):
        return key
    reason = _key_fault(key, "surrogateescape" if byte_names else "strict", any_names=any_names)
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
    """Returns a name with escapes for the bytes of it that are not UTF-8."""
    try:
        return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return key.encode("utf-8", "backslashreplace").decode()


def _key_fault(key: str, errors: str, *, any_names: bool) -> str | None:
    try:
        size = len(key.encode(errors=errors))
    except UnicodeEncodeError:
        return "the name is not UTF-8, as the names of remote objects have to be"
    if not key:
        return "the name is empty"
    if "\0" in key:
        return "the name has a NUL character"
    # The bucket in front of an object's key does not count.
    if size > MAX_KEY_BYTES and size - key.find("/") - 1 > MAX_KEY_BYTES:
        return f"the name has {size} bytes, and {MAX_KEY_BYTES} is the limit"
    segments = [key.partition("/")[0]] if any_names else key.removesuffix("/").split("/")
    if "" in segments:
        return "the name has an empty segment (//), which not every provider keeps"
    return "the name has a '.' or '..' segment" if "." in segments or ".." in segments else None


def local_name(relative: str) -> str:
    """Returns a relative remote name as a relative local path that stays below the directory it is joined to.

    Names such as `C:x` and `NUL` and names with a backslash are ordinary names.

    Raises:
        UnsafePathError: the name is absolute or empty, or has a `..` segment or a NUL.
    """
    if len(relative) <= _MAX_SEGMENT_BYTES and _PLAIN(relative):
        return relative
    name = relative.removesuffix("/")
    for segment in name.split("/"):
        reason = _segment_fault(segment)
        if reason is not None:
            raise UnsafePathError(
                f"download of {relative[:200]!r} refused: {reason}; give that item another name, or copy it to "
                "another bucket",
                operation="download",
                path=relative,
            )
    return name


_EMPTY = "a disk cannot hold a name with an empty or a '.' segment (//, ./)"
_NO_FILES = {"": _EMPTY, ".": _EMPTY, "..": "the name would leave the destination"}


def _segment_fault(segment: str) -> str | None:
    """The reason why a segment of a name cannot be the name of a local file or directory; None if it can."""
    if segment in _NO_FILES or "\0" in segment:
        return _NO_FILES.get(segment, "a disk cannot hold a name with a NUL character")
    try:
        size = len(segment) if segment.isascii() else len(os.fsencode(segment))
    except UnicodeEncodeError:
        return "the name is not valid Unicode"
    return (
        "one part of the name has over 255 bytes, which no local file system holds"
        if size > _MAX_SEGMENT_BYTES
        else None
    )


def fold_name(name: str) -> str:
    """Folds case and Unicode forms: two names that a case-insensitive file system confuses give the same text.

    Example:
        >>> fold_name("Caf\u00e9") == fold_name("CAFE\u0301")
        True
    """
    if name.isascii():
        return name.lower()
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "".join(character for character in plain if unicodedata.category(character) != "Cf")
