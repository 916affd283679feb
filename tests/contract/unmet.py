"""Tests of the contract that do not hold at a server, and why."""

from __future__ import annotations

__all__ = ["UNMET"]

_JUICEFS = {
    "test_body_of_several_buffers": "nothing confirms the first body where there are no ETags",
    "test_reported_checksum_is_that_of_the_bytes": "the gateway stores no checksums",
}

UNMET: dict[str, dict[str, str]] = {
    "juicefs": {
        **_JUICEFS,
        "test_copy": "there are no ETags, so no copy can be conditional",
        "test_etag_pins_the_version": "there are no ETags",
        "test_copy_keeps_a_time": "metadata is dropped",
        "test_metadata": "metadata is dropped",
        "test_time_of_the_source": "metadata is dropped",
    },
    "juicefs_etags": _JUICEFS,
    "gcp": {
        "test_only_over_a_version[gcp-True]": "the emulator keeps the generation of an object that is composed anew",
    },
    "swift": {
        "test_reported_checksum_is_that_of_the_bytes": "no checksums are stored",
    },
    "moto": {
        "test_name_comes_back[moto-new\\nline]": "no route takes a line break",
        "test_wrong_credentials": "signatures are not checked",
        "test_presigned_url": "presigned URLs do not expire",
        "test_body_of_several_buffers": "some answers have no checksum",
        "test_wrong_checksum_is_refused": "checksums are returned without being compared",
        "test_reported_checksum_is_that_of_the_bytes": "HEAD and GET tell no checksum",
        "test_unfinished_uploads_are_found": "all uploads began in 2010",
        "test_copy": "copies are not conditional: another version replaces the copy before that is an error",
    },
}
"""By the name of the fixture."""
