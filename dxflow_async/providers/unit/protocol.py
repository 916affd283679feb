"""What a unit's server can do, and how paths, metadata and uploads' addresses are written for it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urljoin, urlsplit

from dxflow_async import checksum
from dxflow_async.exceptions import ConfigurationError, ServiceError, UnsafePathError
from dxflow_async.modes import parse_mode
from dxflow_async.providers.http import Call
from dxflow_async.security.redaction import Secret

__all__ = ["Announced", "Endpoint", "checksum_text", "file_metadata", "metadata_header", "path_of", "quoted"]


@dataclass(frozen=True, slots=True)
class Announced:
    """What a server says it can do beyond the core; by default nothing.

    Attributes:
        tus: extensions of the upload protocol.
        algorithms: of its checksums.
        ours: extensions of the storage routes.
        max_size: bytes of a file, where it says so.
        directory_mode: the permission bits of new directories, where it says so.
    """

    tus: frozenset[str] = frozenset()
    algorithms: frozenset[str] = frozenset()
    ours: frozenset[str] = frozenset()
    max_size: int | None = None
    directory_mode: int | None = None

    @classmethod
    def parse(cls, headers: Mapping[str, str]) -> Self:
        """What the headers of an answer to `OPTIONS` say; what is not understood is not there."""
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
        """Whether a request's body is compared with the CRC32C sent with it."""
        return "checksum" in self.tus and "crc32c" in self.algorithms

    @property
    def checks_files(self) -> bool:
        """Whether a file is compared with its CRC32C before it gets its name, and the server keeps and tells it."""
        return "checksum" in self.ours

    @property
    def in_parts(self) -> bool:
        """Whether one file can be sent in several uploads at a time."""
        return "concatenation" in self.tus


def _words(text: str) -> frozenset[str]:
    return frozenset(filter(None, (word.strip() for word in text.split(","))))


class Endpoint:
    """A unit's address.

    Args:
        url: `http://host:port`, or `https`, with the path in front of `/storage`, if any.

    Raises:
        ConfigurationError: it is none.

    Attributes:
        url: without a slash at its end.
        host: the header's value.
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

    def address(self, call: Call, location: str) -> Secret:
        """The path and query of what a server calls a `Location`, relative or absolute.

        Raises:
            ServiceError: it leads to another host, which gets neither secret nor bytes, or is none.
        """
        host, address = _place(f"{self.url}/storage/upload/", location)
        if not location or host != self._name:
            raise call.error(ServiceError, "the server puts the upload at an address that is not its own")
        if not re.fullmatch(r"/[!-~]*", address):
            raise call.error(ServiceError, "the server puts the upload at what is no address")
        return address

    def url_of(self, address: str) -> str:
        """The URL of what `address` gave."""
        return Secret(self._origin + address)


def _place(base: str, location: str) -> tuple[str, Secret]:
    """Host and port of a location, and its path and query; whoever knows these may be able to write there."""
    try:
        parts = urlsplit(urljoin(base, location))
    except ValueError:
        return "", Secret("")
    query = f"?{parts.query}" if parts.query else ""
    return _host_and_port(parts.scheme, parts.netloc), Secret(parts.path + query)


def _host_and_port(scheme: str, netloc: str) -> str:
    """Host and port in one spelling. A proxy that ends TLS may hide the scheme from the server: it is left out."""
    return netloc.lower().removesuffix({"http": ":80", "https": ":443"}.get(scheme, ""))


def path_of(call: Call, key: str) -> str:
    """A key as the unit's path. A first segment `volume` is written so that it is not taken for the volume itself.

    Raises:
        UnsafePathError: the unit would not take it, or take it for another name.

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
    """A path as it stands in a query, byte for byte, also where it is no UTF-8 (PEP 383).

    Raises:
        UnsafePathError: it is not valid Unicode.
    """
    try:
        return quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError as error:
        raise call.error(UnsafePathError, "the name is not valid Unicode; rename it") from error


def file_metadata(call: Call, key: str) -> dict[str, str]:
    """Where an upload is to go.

    Raises:
        UnsafePathError: as `path_of`, or it names a directory.
    """
    if not key or key.endswith("/"):
        raise call.error(UnsafePathError, "the name of a file must not end in a slash; give the whole name")
    directory, _, name = path_of(call, key).rpartition("/")
    quoted(call, name)
    return {"path": directory or "/", "name": name}


def metadata_header(pairs: Mapping[str, str]) -> str:
    """The header `Upload-Metadata`."""
    encoded = (
        (key, base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()) for key, value in pairs.items()
    )
    return ",".join(f"{key} {value}" for key, value in encoded)


def checksum_text(value: int) -> str:
    """As `Upload-Checksum` and the metadata `checksum` have it."""
    return f"crc32c {checksum.encode(value)}"
