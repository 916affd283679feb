"""The abilities of a unit's server, and how paths, metadata and upload addresses are written for it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urljoin, urlsplit

from dxflow_async import checksum
from dxflow_async.exceptions import ConfigurationError, UnsafePathError
from dxflow_async.modes import parse_mode
from dxflow_async.providers.http import Call
from dxflow_async.security.redaction import Secret

__all__ = ["Announced", "Endpoint", "checksum_text", "file_metadata", "metadata_header", "path_of", "quoted"]


@dataclass(frozen=True, slots=True)
class Announced:
    """What a server advertises beyond the core; by default nothing.

    Attributes:
        tus: extensions of the upload protocol.
        algorithms: of its checksums.
        ours: extensions of the storage routes.
        max_size: the largest file in bytes, if it says so.
        directory_mode: the permission bits of new directories, if it says so.
    """

    tus: frozenset[str] = frozenset()
    algorithms: frozenset[str] = frozenset()
    ours: frozenset[str] = frozenset()
    max_size: int | None = None
    directory_mode: int | None = None

    @classmethod
    def parse(cls, headers: Mapping[str, str]) -> Self:
        """Parses the headers of a response to `OPTIONS`; ignores what it does not understand."""
        largest = headers.get("tus-max-size", "")
        return cls(
            _words(headers.get("tus-extension", "")),
            _words(headers.get("tus-checksum-algorithm", "")),
            _words(headers.get("dx-extension", "")),
            int(largest) if re.fullmatch(r"[0-9]{1,18}", largest) else None,
            parse_mode(headers.get("dx-directory-mode")),
        )

    @property
    def checks_bodies(self) -> bool:
        """Whether the server compares the body of a request with the CRC32C sent with it."""
        return "checksum" in self.tus and "crc32c" in self.algorithms

    @property
    def checks_files(self) -> bool:
        """Whether the server compares a file with its CRC32C before naming it, and stores and returns it."""
        return "checksum" in self.ours

    @property
    def in_parts(self) -> bool:
        """Whether one file can be sent in several uploads at a time."""
        return "concatenation" in self.tus


def _words(text: str) -> frozenset[str]:
    return frozenset(filter(None, (word.strip() for word in text.split(","))))


class Endpoint:
    """The address of a unit.

    Args:
        url: `http://host:port`, or `https`, with the path before `/storage`, if any.

    Raises:
        ConfigurationError: the URL is not valid.

    Attributes:
        url: without a trailing slash.
        host: the value of the header.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
        except ValueError:
            valid = False
        if not valid or "@" in parts.netloc or parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", url):
            shown = re.sub("//.*@", "//...@", url)
            raise ConfigurationError(
                f"a unit's url {shown!r:.200} is not valid; write http://host:port or https://host"
            )
        self.url = url.rstrip("/")
        self.host = parts.netloc
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._name = _host_and_port(parts.scheme, parts.netloc)
        self._prefix = parts.path.rstrip("/")

    def own_address(self, location: str) -> Secret | None:
        """Returns the path and query of a `Location` at this origin; None if it is another origin, or not valid.

        A proxy that ends TLS may hide the scheme from the server, so the scheme does not count.
        """
        host, address = _place(f"{self.url}/storage/upload/", location)
        if host != self._name or not _is_address(address):
            return None
        # Below a prefix, the server may not know the prefix.
        return address if address.startswith(f"{self._prefix}/") else None

    def is_usual(self, address: str) -> bool:
        """Returns whether an address of an upload is below the one that creates uploads."""
        return address.startswith(f"{self._prefix}/storage/upload/")

    def usual_address(self, upload_id: str) -> str:
        """Returns the path of an upload, or of a group of uploads, at a server of this library."""
        return f"{self._prefix}/storage/upload/{upload_id}"

    def likely_addresses(self, location: str) -> list[Secret]:
        """Returns paths at this origin where an upload may be whose `Location` is not usual for this unit.

        A server that does not know its outer address reports the right path with another scheme, host or port, or a
        path without the prefix under which a proxy shows it. Routes for files are never addresses of uploads.
        """
        host, address = _place(f"{self.url}/storage/upload/", location)
        if not _is_address(address):
            return []
        path, mark, query = address.partition("?")
        name, below = path.rstrip("/").rpartition("/")[2], address.startswith(f"{self._prefix}/")
        found = [address if below else f"{self._prefix}{address}"]
        if name:
            found.append(f"{self._prefix}/storage/upload/{name}{mark}{query}")
        if host == self._name:
            found.append(address)
        files = f"{self._prefix}/storage/"
        return [Secret(each) for each in dict.fromkeys(found) if self.is_usual(each) or not each.startswith(files)]

    def url_of(self, address: str) -> str:
        """Returns the URL of a path and query at this origin."""
        return Secret(self._origin + address)


def _place(base: str, location: str) -> tuple[str, Secret]:
    """Returns host and port of a location, and its path and query, which may grant write access."""
    try:
        parts = urlsplit(urljoin(base, location))
    except ValueError:
        return "", Secret("")
    query = f"?{parts.query}" if parts.query else ""
    return _host_and_port(parts.scheme, parts.netloc), Secret(parts.path + query)


def _is_address(address: str) -> bool:
    return re.fullmatch(r"/[!-~]*", address) is not None


def _host_and_port(scheme: str, netloc: str) -> str:
    """Returns host and port in one spelling, without the scheme: a proxy that ends TLS may hide it from the server."""
    return netloc.lower().removesuffix({"http": ":80", "https": ":443"}.get(scheme, ""))


def path_of(call: Call, key: str) -> str:
    """Returns a key as the unit's path. A first segment `volume` is escaped, since it means the volume itself.

    Raises:
        UnsafePathError: the unit would refuse the key or change it.

    Example:
        >>> call = Call("UNIT", "read", "/Demo/a")
        >>> path_of(call, "a/b/"), path_of(call, ""), path_of(call, "volume/a")
        ('/a/b', '/', '/volume/volume/a')
    """
    name = key.removesuffix("/")
    if name and not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise call.error(UnsafePathError, "a unit does not keep '//', '.' and '..' in names; remove them")
    volume = "/volume" if name == "volume" or name.startswith("volume/") else ""
    return f"{volume}/{name}"


def quoted(call: Call, path: str) -> str:
    """Returns a path for a query, byte for byte, also if it is not UTF-8 (PEP 383).

    Raises:
        UnsafePathError: it is not valid Unicode.
    """
    try:
        return quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError as error:
        raise call.error(UnsafePathError, "the name is not valid Unicode; rename it") from error


def file_metadata(call: Call, key: str) -> dict[str, str]:
    """Returns the metadata that names the destination of an upload.

    Raises:
        UnsafePathError: as for `path_of`, or the key names a directory.
    """
    if not key or key.endswith("/"):
        raise call.error(UnsafePathError, "the name of a file must not end in a slash; give the whole name")
    directory, _, name = path_of(call, key).rpartition("/")
    quoted(call, name)
    return {"path": directory or "/", "name": name}


def metadata_header(pairs: Mapping[str, str]) -> str:
    """Returns the header `Upload-Metadata`."""
    encoded = (
        (key, base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()) for key, value in pairs.items()
    )
    return ",".join(f"{key} {value}" for key, value in encoded)


def checksum_text(value: int) -> str:
    """Returns a CRC32C as `Upload-Checksum` and the metadata `checksum` have it."""
    return f"crc32c {checksum.encode(value)}"
