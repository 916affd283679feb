"""The headers and statuses of a web server, read as facts about a file.

Sources: https://www.rfc-editor.org/rfc/rfc9110 (fields), https://www.rfc-editor.org/rfc/rfc9530 (digests),
https://www.rfc-editor.org/rfc/rfc3230 (`Digest`).
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Mapping

from dxflow_async.providers import (
    AccessDeniedError,
    Entry,
    ExpectedDigest,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    UnsupportedError,
    if_match,
    parse_etag,
    same_etag,
    timestamp_of,
)

__all__ = ["STATUSES", "conditions", "encoding_of", "entry_of", "is_page", "is_version"]

STATUSES: dict[int, tuple[type[StorageError], str]] = {
    400: (StorageError, "the server does not accept the request; check the URL"),
    401: (AccessDeniedError, "sign in: set username and password, or token, for a remote of this server"),
    403: (AccessDeniedError, "check the credentials; a signed URL may have expired"),
    404: (NotFoundError, "check the URL"),
    405: (UnsupportedError, "the server does not serve this URL as a file"),
    406: (UnsupportedError, "the server sends this file only in a packed form"),
    410: (NotFoundError, "the file was removed for good"),
    412: (PreconditionFailedError, "the file was replaced meanwhile; start again"),
    416: (PreconditionFailedError, "the file is shorter than the range; start again"),
}
"""The statuses about which there is more to say than `STATUS_ERRORS` has."""

_PAGE_SUFFIX = re.compile(r"(?:html?|xhtml?|php\d?|aspx?|jspx?|cgi|shtml)", re.IGNORECASE)
_SIZES = {"sha256": 32, "sha1": 20, "md5": 16, "crc64nvme": 8, "crc32": 4}
_MODIFIED = "modified "
_IN_PARTS = re.compile(r"-[0-9]+\"?\s*$")
"""How the ETag of an object ends that was uploaded in parts. Some services do not say that its checksum is theirs."""


def entry_of(key: str, headers: Mapping[str, str], size: int) -> Entry:
    """Returns the facts that an answer tells about a file of `size` bytes."""
    hashes = _google_hashes(headers) if encoding_of(headers) == "identity" else {}
    crc = _crc32c_of(hashes.get("crc32c") or _whole_s3(headers, "crc32c"))
    digest = None if crc is not None or encoding_of(headers) != "identity" else _digest_of(headers, hashes)
    return Entry(
        key,
        size,
        timestamp_of(headers.get("last-modified", "")),
        etag=_version_of(headers),
        crc32c=crc,
        content_type=headers.get("content-type"),
        digest=digest,
    )


def conditions(etag: str | None) -> dict[str, str]:
    """Returns the headers that make a server refuse another version than this one.

    A weak ETag never matches `If-Match`, so the answer's ETag is compared instead.
    """
    if etag is None:
        return {}
    if etag.startswith(_MODIFIED):
        return {"if-unmodified-since": etag.removeprefix(_MODIFIED)}
    condition = if_match(etag)
    return {} if condition is None else {"if-match": condition}


def is_version(etag: str | None, headers: Mapping[str, str]) -> bool:
    """Returns whether an answer is of the version `etag`, as far as it tells."""
    if etag is not None and etag.startswith(_MODIFIED):
        return headers.get("last-modified", "").strip() in ("", etag.removeprefix(_MODIFIED))
    return same_etag(etag, parse_etag(headers.get("etag")))


def encoding_of(headers: Mapping[str, str]) -> str:
    """Returns the content encoding of an answer; `"identity"` is the file as it is."""
    return headers.get("content-encoding", "").strip().lower() or "identity"


def is_page(key: str, headers: Mapping[str, str], *, moved: bool = False) -> bool:
    """Returns whether an HTML page came for a name of another kind: the sign-in page of a portal looks like that.

    Args:
        key: the name that was asked for. One without a suffix may be that of a page.
        headers: those of the answer.
        moved: a redirect led to another path, as to the index page of a directory or to a sign-in page.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() not in ("text/html", "application/xhtml+xml"):
        return False
    name = key.rpartition("/")[2]
    suffix = name.rpartition(".")[2] if "." in name.strip(".") else ""
    is_named_page = _PAGE_SUFFIX.fullmatch(suffix) or mimetypes.guess_type(name)[0] == "text/html"
    return (moved or bool(suffix)) and not is_named_page


def _version_of(headers: Mapping[str, str]) -> str | None:
    etag = parse_etag(headers.get("etag"))
    if etag is not None:
        return etag
    modified = headers.get("last-modified", "").strip()
    return f"{_MODIFIED}{modified}" if modified and encoding_of(headers) == "identity" else None


def _google_hashes(headers: Mapping[str, str]) -> dict[str, str]:
    """`crc32c=..., md5=...` of the stored bytes; nothing where the server unpacked them on the way."""
    if headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        return {}
    pairs = (pair.strip().partition("=") for pair in headers.get("x-goog-hash", "").split(","))
    return {name.strip(): value for name, _, value in pairs}


def _whole_s3(headers: Mapping[str, str], algorithm: str) -> str | None:
    """S3's checksum of the whole file; a composite one is of the checksums of its parts."""
    kind = headers.get("x-amz-checksum-type", "").strip().upper()
    whole = kind == "FULL_OBJECT" if kind else _IN_PARTS.search(headers.get("etag", "")) is None
    return None if not whole else headers.get(f"x-amz-checksum-{algorithm}")


def _crc32c_of(text: str | None) -> int | None:
    value = _decoded(text, 4)
    return None if value is None else int.from_bytes(value, "big")


def _digest_of(headers: Mapping[str, str], hashes: Mapping[str, str]) -> ExpectedDigest | None:
    """The strongest digest of the whole file; those of a message's own content count only in a whole answer."""
    whole = "content-range" not in headers
    told = ",".join(headers.get(name, "") for name in ("repr-digest", "digest", *(["content-digest"] if whole else [])))
    named = {
        name.strip().lower(): value.strip().strip(":") for name, _, value in (x.partition("=") for x in told.split(","))
    }
    told_by = {
        "sha256": (named.get("sha-256"), _whole_s3(headers, "sha256")),
        "sha1": (named.get("sha"), _whole_s3(headers, "sha1")),
        "md5": (named.get("md5"), hashes.get("md5"), headers.get("content-md5") if whole else None),
        "crc64nvme": (_whole_s3(headers, "crc64nvme"),),
        "crc32": (_whole_s3(headers, "crc32"),),
    }
    for algorithm, texts in told_by.items():
        for text in texts:
            value = _decoded(text, _SIZES[algorithm])
            if value is not None:
                return ExpectedDigest(algorithm, value)
    return None


def _decoded(text: str | None, size: int) -> bytes | None:
    if not text:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return value if len(value) == size else None
