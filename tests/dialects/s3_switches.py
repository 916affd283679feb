"""Every way in which an S3 service differs from Amazon's, alone."""

from __future__ import annotations

from tests.dialects.s3_quirks import Quirks

__all__ = ["ENGINE_ONLY", "NEVER_LEARNED", "SWITCHES", "UNMET"]

SWITCHES = {
    "as Amazon": Quirks(),
    "composite checksums": Quirks(composite_only=True),
    "checksums refused": Quirks(refuses_checksums=(501, "NotImplemented")),
    "checksums invalid": Quirks(refuses_checksums=(400, "InvalidRequest")),
    "checksum mode refused": Quirks(refuses_checksum_mode=True),
    "no checksums": Quirks(no_checksums=True),
    "signed bodies": Quirks(refuses_unsigned="bodies"),
    "signed requests": Quirks(refuses_unsigned="all"),
    "DeleteObjects not implemented": Quirks(refuses_delete_objects=(501, "NotImplemented")),
    "DeleteObjects invalid": Quirks(refuses_delete_objects=(400, "InvalidArgument")),
    "DeleteObjects not allowed": Quirks(refuses_delete_objects=(405, "MethodNotAllowed")),
    "uniform parts": Quirks(uniform_parts=True),
    "few parts": Quirks(max_parts=3),
    "weak etags in headers": Quirks(weak_etags="headers"),
    "weak etags": Quirks(weak_etags="everywhere"),
    "hidden region": Quirks(home_region="eu-west-9"),
    "plain prefixes": Quirks(plain_prefixes=True),
    "encoding ignored": Quirks(ignores_encoding=True),
    "space before XML": Quirks(prologue=" \r\n"),
    "byte order mark": Quirks(prologue="\ufeff"),
    "comment before XML": Quirks(prologue="<!-- served by a proxy -->\n"),
    "raw UTF-8 metadata": Quirks(metadata="utf8"),
    "ASCII metadata": Quirks(metadata="refused"),
    "etags without quotes": Quirks(plain_etags=True),
    "terse listings": Quirks(terse_listing=True),
    "version 1 listings": Quirks(v1_only=True),
    "errors after 200": Quirks(fails_after_200=True),
    "clock ahead": Quirks(clock_offset=3600.0),
    "clock behind": Quirks(clock_offset=-3600.0),
    "slashes folded": Quirks(folds_slashes=True),
}
"""By name."""

NEVER_LEARNED = {"errors after 200"}
"""Switches that make requests fail by chance, so there is nothing to learn."""

ENGINE_ONLY = {"errors after 200"}
"""Switches under which single calls of the provider fail, and the engine makes up for it."""

_NO_CHECKSUM = {
    "test_body_of_several_buffers": "the provider reports no CRC32C that the server did not confirm",
    "test_wrong_checksum_is_refused": "nobody compares the CRC32C of a body",
    "test_reported_checksum_is_that_of_the_bytes": "no checksum is stored",
}

UNMET: dict[str, dict[str, str]] = {
    "checksums refused": _NO_CHECKSUM,
    "checksums invalid": _NO_CHECKSUM,
    "no checksums": _NO_CHECKSUM,
    "checksum mode refused": {"test_reported_checksum_is_that_of_the_bytes": "reads report no checksum"},
    "weak etags": {"test_copy": "a copy cannot be conditional"},
    "weak etags in headers": {
        "test_copy": "a copy cannot be conditional",
        "test_listing_says_what_stat_says": "etags of listings are strong",
    },
    "version 1 listings": {"test_listing_of_many_pages": "only the first page is found; the listing is an error"},
    "clock ahead": {"test_unfinished_uploads_are_found": "uploads began by the server's clock"},
    "clock behind": {"test_unfinished_uploads_are_found": "uploads began by the server's clock"},
}
"""Tests of the contract that do not hold under a switch, and why."""
