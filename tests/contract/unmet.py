"""Tests of the contract that do not hold at a server, and why."""

from __future__ import annotations

__all__ = ["UNMET"]

_JUICEFS = {
    "test_body_of_several_buffers": "the provider reports no CRC32C that the server did not confirm",
    "test_wrong_checksum_is_refused": "the gateway ignores checksums",
    "test_reported_checksum_is_that_of_the_bytes": "the gateway stores no checksums",
    "test_object_is_not_found_as_a_directory": "DELETE of `name/` removes the object `name`",
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
}
"""By the name of the fixture."""
