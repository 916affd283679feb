"""Requests classified by what they ask a service for."""

from __future__ import annotations

import re

from tests.faults.proxy import Dialect, Request

__all__ = ["LOGIN", "VERBS", "verb_of"]

LOGIN = "login"
"""A request for the page that a redirect leads to."""

VERBS: dict[Dialect, dict[str, tuple[str, ...]]] = {
    "AWS": {
        "reads": ("list", "head", "get"),
        "writes": ("put", "copy", "delete many"),
        "parts": ("get part", "create multipart", "put part", "list parts", "complete", "abort"),
    },
    "AZURE": {
        "reads": ("list", "head", "get"),
        "writes": ("put", "copy", "delete", "delete many"),
        "parts": ("get part", "put block", "put block list"),
    },
    "GCP": {
        "reads": ("list", "stat", "get"),
        "writes": ("insert", "rewrite", "delete", "delete many"),
        "parts": ("get part", "create session", "send", "compose"),
    },
    "UNIT": {
        "reads": ("list", "stat", "get", "options"),
        "writes": ("store", "copy", "rename", "delete", "make directory"),
        "parts": ("forget", "get part", "create part", "append", "concatenate"),
    },
}
"""The requests that the operations of the matrix make at each service."""


def verb_of(dialect: Dialect, request: Request) -> str:
    """Names what a request asks for; a request of another kind is called by its method and target."""
    if request.target == f"/{LOGIN}":
        return LOGIN
    for method, pattern, verb in _ROWS[dialect]:
        if request.method == method and re.search(pattern, _described(request)):
            return "get part" if verb == "get" and not _RANGES.isdisjoint(request.headers) else verb
    return f"{request.method} {request.target}"


def _described(request: Request) -> str:
    """The target and the headers that tell requests apart, in one line."""
    told = [f"{name}={request.headers[name]}" for name in _HEADERS if name in request.headers]
    return " ".join((request.target, *told))


_RANGES = {"range", "x-ms-range"}
_HEADERS = ("x-amz-copy-source", "x-ms-copy-source", "x-ms-blob-type", "content-range", "upload-concat")

Row = tuple[str, str, str]

# The first row that fits.
_ROWS: dict[Dialect, tuple[Row, ...]] = {
    "AWS": (
        ("GET", r"[?&]list-type=2", "list"),
        ("GET", r"[?&]uploadId=", "list parts"),
        ("PUT", r"[?&]uploadId=", "put part"),
        ("POST", r"[?&]uploadId=", "complete"),
        ("DELETE", r"[?&]uploadId=", "abort"),
        ("POST", r"[?&]uploads\b", "create multipart"),
        ("GET", r"[?&]uploads\b", "list uploads"),
        ("POST", r"[?&]delete\b", "delete many"),
        ("PUT", r" x-amz-copy-source=", "copy"),
        ("HEAD", r"^/[^/?]+/[^?]", "head"),
        ("GET", r"^/[^/?]+/[^?]", "get"),
        ("PUT", r"^/[^/?]+/[^?]", "put"),
        ("DELETE", r"^/[^/?]+/[^?]", "delete"),
    ),
    "AZURE": (
        ("GET", r"[?&]comp=list\b", "list"),
        ("GET", r"[?&]comp=blocklist", "list blocks"),
        ("PUT", r"[?&]comp=blocklist", "put block list"),
        ("PUT", r"[?&]comp=block\b", "put block"),
        ("POST", r"[?&]comp=batch", "delete many"),
        ("PUT", r" x-ms-copy-source=", "copy"),
        ("PUT", r" x-ms-blob-type=", "put"),
        ("HEAD", r"^/[^/?]+/[^/?]+/[^?]", "head"),
        ("GET", r"^/[^/?]+/[^/?]+/[^?]", "get"),
        ("DELETE", r"^/[^/?]+/[^/?]+/[^?]", "delete"),
    ),
    "GCP": (
        ("POST", r"^/batch/", "delete many"),
        ("POST", r"uploadType=multipart", "insert"),
        ("POST", r"uploadType=resumable", "create session"),
        ("PUT", r"^/upload/.* content-range=bytes \*/", "ask session"),
        ("PUT", r"^/upload/", "send"),
        ("DELETE", r"^/upload/", "cancel session"),
        ("POST", r"/rewriteTo/", "rewrite"),
        ("POST", r"/compose\b", "compose"),
        ("GET", r"^/download/|[?&]alt=media", "get"),
        ("GET", r"^/storage/v1/b/[^/]+/o/", "stat"),
        ("GET", r"^/storage/v1/b/[^/]+/o\?", "list"),
        ("DELETE", r"^/storage/v1/b/[^/]+/o/", "delete"),
    ),
    "UNIT": (
        ("OPTIONS", r"", "options"),
        ("POST", r" upload-concat=partial", "create part"),
        ("POST", r" upload-concat=final", "concatenate"),
        ("POST", r"/storage/upload/", "store"),
        ("PATCH", r"/storage/upload/", "append"),
        ("HEAD", r"/storage/upload/", "offset"),
        ("DELETE", r"/storage/upload/", "forget"),
        ("GET", r"/storage/items/", "list"),
        ("DELETE", r"/storage/items/", "delete"),
        ("GET", r"/storage/download/", "get"),
        ("GET", r"/storage/stat/", "stat"),
        ("PUT", r"/storage/transfer/", "copy"),
        ("PUT", r"/storage/rename/", "rename"),
        ("PUT", r"/storage/directory/", "make directory"),
    ),
}
