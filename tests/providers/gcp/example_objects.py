"""What Google Cloud Storage answers."""

from __future__ import annotations

import json

from dxflow_async.checksum import crc32c, encode
from tests.scripted_server import answer

__all__ = ["json_answer", "json_error", "stored", "xml_error"]


def json_answer(document: object, status: str = "200 OK", **headers: str) -> bytes:
    """An answer of the JSON API."""
    return answer(status, json.dumps(document).encode(), **headers)


def json_error(status: str, reason: str, message: str = "said so", **headers: str) -> bytes:
    """How the JSON API refuses."""
    error = {"code": int(status[:3]), "message": message, "errors": [{"reason": reason, "message": message}]}
    return json_answer({"error": error}, status, X_GUploader_UploadID="REQ1", **headers)


def xml_error(status: str, code: str, message: str = "said so", **headers: str) -> bytes:
    """How the XML API refuses."""
    document = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return answer(status, document.encode(), X_GUploader_UploadID="REQ1", **headers)


def stored(**changes: object) -> dict[str, object]:
    """What the service says of an object of the bytes `bytes` that it stored."""
    described = {"kind": "storage#object", "name": "name", "generation": "7"}
    return {**described, "size": "5", "crc32c": encode(crc32c(b"bytes")), **changes}
