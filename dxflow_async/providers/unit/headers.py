"""The headers of downloads from a unit."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dxflow_async import checksum
from dxflow_async.modes import parse_mode
from dxflow_async.providers.common.etags import if_match, parse_etag
from dxflow_async.providers.common.fields import timestamp_of
from dxflow_async.providers.common.mtime import parse_mtime
from dxflow_async.providers.contract import Entry

__all__ = ["download_headers", "downloaded", "stored_headers"]

_DIGEST = re.compile(r"(?:^|,)\s*crc32c=:([A-Za-z0-9+/]{6}==):")


def download_headers(start: int, end: int | None, etag: str | None) -> dict[str, str]:
    """Returns the headers that ask for a range of bytes, of one version."""
    headers = {}
    if start or end is not None:
        headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"
    if (condition := if_match(etag)) is not None:
        headers["if-match"] = condition
    return headers


def downloaded(key: str, size: int, headers: Mapping[str, str], *, times: bool, modes: bool) -> Entry:
    """Returns the file that the headers of a download describe."""
    etag, crc = stored_headers(headers)
    precise = parse_mtime(headers.get("dx-modified"))
    modified = timestamp_of(headers.get("last-modified", "")) if precise is None else precise
    mtime, mode = modified if times and modified else None, parse_mode(headers.get("dx-mode")) if modes else None
    return Entry(key, size, modified, etag=etag, crc32c=crc, mtime=mtime, mode=mode)


def stored_headers(headers: Mapping[str, str]) -> tuple[str | None, int | None]:
    """Returns version and checksum of a stored file, if the headers name them."""
    found = _DIGEST.search(headers.get("repr-digest", ""))
    return parse_etag(headers.get("etag")), checksum.decode(found[1]) if found else None
