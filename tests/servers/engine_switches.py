"""What is unknown of engines, as switches of the test server. The first value of each is its default."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["FAULTS", "FAULT_VALUES", "NASTY", "QUIRKS", "Switches"]


def _one_of(*values: Any, fault: bool = False) -> Any:
    return field(default=values[0], metadata={"values": values, "fault": fault})


def _fault(*values: Any) -> Any:
    return _one_of(*values, fault=True)


@dataclass(kw_only=True)
class Switches:
    """How an engine behaves. A *fault* is something that a call cannot succeed under, or that breaks an answer."""

    # Routes and envelopes
    generation: str = _one_of("artifact", "object", "both")
    controllers_told: bool = _one_of(True, False)
    total: str = _one_of("value", "bare", "absent")
    kind_key: str = _one_of("kind", "type")
    framing: str = _one_of("lines", "ndjson", "one_line", "split", "bytes")
    stream_end: str = _fault("bracket", "none", "reset", "late_500", "silence")
    error_http: str = _one_of("code", "200")
    error_body: str = _one_of("envelope", "header", "text", "object")
    error_code_exists: int = _one_of(409, 400, 500)
    error_code_missing: int = _one_of(404, 400, 500)
    error_code_denied: int = _one_of(403, 401, 500)
    login_page: str = _fault("never", "list", "download", "upload", "rename", "delete", "batch", "create", "sign_in")

    # Access
    challenge_seconds: float = _one_of(60.0, 1.0)
    challenge_reusable: bool = _one_of(False, True)
    challenge_lifetime: str | int = _one_of("1m0s", 300)
    nonce: str = _one_of("ascii", "non_ascii", "long")
    nonce_key: str = _one_of("nonce", "nounce")
    token_seconds: float = _one_of(0.0, 1800.0, 2.0, 1.0)  # 0: as requested
    token_revoked: str = _fault("never", "in_upload", "in_listing")
    expires_at: str = _one_of("s", "ms", "absent", "past", "future")
    inspect: str = _one_of("empty", "entity", "missing")
    channels: str = _one_of("bearer", "bearer_and_cookie", "query")
    permissions: str = _one_of("all", "absent", "master_alone", "with_master")
    read_only: bool = _fault(False, True)
    artifact_denied: bool = _fault(False, True)
    rate_limit: str = _fault("none", "429", "429_plain", "503", "502")  # 502: a proxy's page
    rate_limited: str = _fault("all", "auth")

    # Transport
    transport: str = _one_of("keep_alive", "close", "unix", "tls", "prefix")
    slashless: int = _one_of(404, 301, 308)
    at_once: int = _one_of(0, 2)  # 0: without a limit
    overload: str = _fault("queued", "503")

    # Listings
    identity_form: str = _one_of("a/b", "./a/b", "/a/b", "absolute")
    root: str = _one_of("dot", "slash_too", "dot_refused")
    list_hidden: str = _one_of("by_all", "always", "never")
    list_self: bool = _one_of(False, True)
    list_order: str = _one_of("name", "readdir", "changing")
    list_total: str = _one_of("all", "page")
    list_total_wrong: bool = _fault(False, True)
    paging: str = _one_of("honoured", "ignored", "capped")
    depth: str = _one_of("honoured", "all_refused", "ignored")
    pattern: str = _one_of("name", "path", "case_blind", "prunes", "ignored")
    list_file: str = _one_of("missing", "itself", "empty")
    list_missing: str = _one_of("missing", "empty")
    time: str = _one_of("s", "ms", "ns", "text")
    permission: str = _one_of("go", "ls", "octal")
    directory_size: int = _one_of(4096, 0, -1)  # -1: the sum of its files
    symlinks: str = _one_of("listed", "followed")
    ownership: str = _fault("ours", "some_of_root")
    names: str = _one_of("replaced", "omitted")
    unicode_form: str = _fault("kept", "decomposed")

    # Uploads
    upload_exists: str = _one_of("refused", "replaces")  # without force
    upload_force: str = _one_of("replaces", "refused")
    upload_refusal: str = _one_of("early", "after_body")
    upload_write: str = _one_of("in_place", "renamed")
    upload_broken: str = _one_of("stays", "removed", "old_kept")
    upload_chunked: str = _one_of("refused", "stored_empty", "stored")
    upload_empty: str = _one_of("stored", "refused")
    upload_content_range: str = _one_of("ignored", "refused")
    upload_limit: int = _fault(0, 4096)
    upload_limit_how: str = _fault("413", "reset", "507")
    upload_answer: str = _one_of("envelope", "empty", "created", "no_content", "late")
    upload_stores_half: bool = _fault(False, True)
    upload_parents: str = _one_of("created", "missing")
    upload_slash: str = _one_of("stored", "directory")
    upload_no_extension: str = _one_of("stored", "directory")
    upload_dot_names: str = _one_of("kept", "refused")

    # Downloads
    download_range: str = _one_of("ignored", "served", "416")
    download_range_wrong: bool = _fault(False, True)
    download_length: str = _one_of("told", "chunked")
    download_shorter: bool = _fault(False, True)
    download_changes: str = _fault("never", "grows", "shrinks")
    download_headers: str = _one_of("disposition", "none", "validators")
    download_encoding: str = _one_of("identity", "gzip_if_accepted")
    download_error: str = _one_of("status", "envelope")
    download_directory: str = _one_of("refused", "archive", "endless", "empty")
    head: int = _one_of(405, 200, 404)

    # Changes
    rename_exists: str = _one_of("replaces", "refused", "nothing")
    rename_onto_directory: str = _one_of("refused", "into")
    rename_how: str = _one_of("atomic", "copied")
    rename_parents: str = _one_of("missing", "created")
    delete_missing: str = _one_of("missing", "done")
    delete_identity: str = _one_of("query", "body")
    delete_volume: str = _one_of("refused", "wiped")
    delete_filled: str = _one_of("recursive", "refused")
    batch: str = _one_of(
        "json", "refused", "partial", "error_absent", "body_dropped", "query_repeated", "query_comma", "query_json"
    )
    create_existing: str = _one_of("error", "entity")
    create_parents: bool = _one_of(False, True)
    create_force: str = _one_of("keeps", "empties")

    # Links, archives and shells
    share_signature: str = _one_of("plain", "escaped")
    share_missing: str = _one_of("missing", "allowed")
    share_expired: int = _one_of(401, 403, 410)
    share_writable_downloads: bool = _one_of(False, True)
    zip_progress: bool = _one_of(True, False)
    zip_destination: str = _one_of("relative", "absolute")
    zip_existing: str = _one_of("replaced", "refused")
    zip_read_only: str = _one_of("refused", "allowed")
    shell: str = _one_of("absent", "refused", "works")


FAULTS = {each.name for each in fields(Switches) if each.metadata.get("fault")}

QUIRKS = [
    (each.name, value) for each in fields(Switches) if each.name not in FAULTS for value in each.metadata["values"][1:]
]
"""Each value of a switch that is not its default, and under which every call still has to succeed."""

FAULT_VALUES = [
    (each.name, value) for each in fields(Switches) if each.name in FAULTS for value in each.metadata["values"][1:]
]
"""Each value of the other switches: calls end with an error, and lose nothing."""

NASTY: dict[str, dict[str, Any]] = {
    "nothing replaced, hidden names lost, volume wiped": {
        "rename_exists": "refused",
        "list_hidden": "never",
        "delete_identity": "body",
        "delete_volume": "wiped",
    },
    "success that is none": {
        "rename_exists": "nothing",
        "error_http": "200",
        "upload_answer": "late",
        "batch": "partial",
        "download_error": "envelope",
    },
    "renames that copy, errors without a code": {
        "rename_how": "copied",
        "upload_dot_names": "refused",
        "error_code_exists": 500,
        "error_code_missing": 500,
        "error_code_denied": 500,
    },
    "old, capped and in pieces": {
        "generation": "object",
        "kind_key": "type",
        "framing": "bytes",
        "total": "bare",
        "paging": "capped",
        "list_order": "changing",
        "list_self": True,
        "identity_form": "absolute",
    },
    "short tokens, no lengths, closed connections": {
        "token_seconds": 1.0,
        "expires_at": "absent",
        "transport": "close",
        "error_body": "header",
        "download_length": "chunked",
        "download_range": "416",
        "download_headers": "none",
    },
    "nothing is made, found or emptied": {
        "list_missing": "empty",
        "list_file": "itself",
        "pattern": "path",
        "root": "dot_refused",
        "upload_parents": "missing",
        "delete_filled": "refused",
        "delete_missing": "done",
        "batch": "body_dropped",
        "rename_exists": "refused",
    },
}
"""The combinations that are most likely to lose something. Kills, lost answers and cancellations run with each."""
