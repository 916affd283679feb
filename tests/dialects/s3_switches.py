"""Every way in which an S3 service differs from Amazon's, alone."""

from __future__ import annotations

from tests.dialects.s3_quirks import Quirks

__all__ = ["ENGINE_ONLY", "LONG", "NEVER_LEARNED", "REFUSED", "SWITCHES", "UNMET"]

SWITCHES = {
    "as Amazon": Quirks(),
    "composite checksums": Quirks(composite_only=True),
    "checksums refused": Quirks(refuses_checksums=(501, "NotImplemented")),
    "checksums invalid": Quirks(refuses_checksums=(400, "InvalidRequest")),
    "checksum mode refused": Quirks(refuses_checksum_mode=True),
    "no checksums": Quirks(no_checksums=True),
    "CRC64NVME only": Quirks(other_checksum="crc64nvme"),
    "SHA-256 only": Quirks(other_checksum="sha256"),
    "SHA-256 without etags": Quirks(other_checksum="sha256", no_etags="everywhere"),
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
    "no etags": Quirks(no_etags="everywhere"),
    "no etags in headers": Quirks(no_etags="headers"),
    "other etags in listings": Quirks(other_listed_etags=True),
    "no metadata": Quirks(no_metadata=True),
    "neither etags nor metadata": Quirks(no_etags="everywhere", no_metadata=True),
    "terse listings": Quirks(terse_listing=True),
    "version 1 listings": Quirks(v1_only="ignored", page_size=3),
    "version 2 listings refused": Quirks(v1_only="refused", page_size=3),
    "listings without NextMarker": Quirks(v1_only="ignored", no_next_marker=True, page_size=3),
    "plain listings of version 1": Quirks(v1_only="refused", ignores_encoding=True, no_next_marker=True, page_size=3),
    "errors after 200": Quirks(fails_after_200=True),
    "clock ahead": Quirks(clock_offset=3600.0),
    "clock behind": Quirks(clock_offset=-3600.0),
    "GET without length": Quirks(get_without_length=True),
    "HEAD without length": Quirks(head_without_length=True),
    "neither length": Quirks(get_without_length=True, head_without_length=True),
    "ranges ignored": Quirks(ignores_range=True),
    "no ranges nor lengths": Quirks(ignores_range=True, get_without_length=True, head_without_length=True),
    "small bodies": Quirks(max_put=2_000_000),
    "HTML 400": Quirks(html_400_every=7),
    "requester pays": Quirks(requester_pays=True),
    "HEAD refused": Quirks(refuses_head=405),
    "conditions ignored": Quirks(conditions="ignored"),
    "conditions refused": Quirks(conditions="refused"),
    "objects as files": Quirks(files=True),
    "slashes folded": Quirks(folds_slashes=True),
}
"""By name."""

NEVER_LEARNED = {"errors after 200", "HTML 400"}
"""Switches that make requests fail by chance, so there is nothing to learn."""

_BY_FIRST_BYTE = [("GetObject", 404), ("GetObject", 416)]

REFUSED = {
    "HEAD refused": _BY_FIRST_BYTE,
    "HEAD without length": _BY_FIRST_BYTE,
    "neither length": _BY_FIRST_BYTE,
    "no ranges nor lengths": [("GetObject", 404)],
}
"""Requests that fail each time because there is no other way: the lookups of a missing object and of an empty one."""

ENGINE_ONLY = {"errors after 200", "HTML 400"}
"""Switches under which single calls of the provider fail, and the engine makes up for it."""

LONG = {
    "SHA-256 only",
    "SHA-256 without etags",
    "no etags in headers",
    "neither etags nor metadata",
    "neither length",
    "no ranges nor lengths",
    "version 2 listings refused",
    "listings without NextMarker",
    "plain listings of version 1",
    "requester pays",
    "HEAD refused",
}
"""Switches under which the contract suite runs with `-m long` only: sessions run under them each day."""

_NO_CHECKSUM = {
    "test_reported_checksum_is_that_of_the_bytes": "no checksum is stored",
}

_IN_PARTS = "the engine sends it in parts"

_NO_ETAGS = {
    "test_copy": "a copy cannot be conditional",
    "test_etag_pins_the_version": "no version has a name",
}

_OTHER_CHECKSUM = {
    "test_reported_checksum_is_that_of_the_bytes": "reads report another checksum",
}

_NO_METADATA = {
    "test_metadata": "metadata is refused",
    "test_time_of_the_source": "no time of the source is kept",
    "test_copy_keeps_a_time": "no time of the source is kept",
}

UNMET: dict[str, dict[str, str]] = {
    "small bodies": {"test_body_of_several_buffers": _IN_PARTS, "test_reads_closed_early": _IN_PARTS},
    "checksums refused": _NO_CHECKSUM,
    "checksums invalid": _NO_CHECKSUM,
    "no checksums": _NO_CHECKSUM,
    "checksum mode refused": {"test_reported_checksum_is_that_of_the_bytes": "reads report no checksum"},
    "CRC64NVME only": _OTHER_CHECKSUM,
    "SHA-256 only": _OTHER_CHECKSUM,
    "SHA-256 without etags": {
        **_NO_ETAGS,
        **_OTHER_CHECKSUM,
        "test_upload_of_another_process_is_resumed": "no answer tells that parts are the same",
    },
    "no etags": _NO_ETAGS,
    "no etags in headers": {**_NO_ETAGS, "test_listing_says_what_stat_says": "only listings have etags"},
    "other etags in listings": {"test_listing_says_what_stat_says": "etags of listings are others"},
    "no metadata": _NO_METADATA,
    "neither etags nor metadata": {**_NO_ETAGS, **_NO_METADATA},
    "weak etags": {"test_copy": "a copy cannot be conditional"},
    "weak etags in headers": {
        "test_copy": "a copy cannot be conditional",
        "test_listing_says_what_stat_says": "etags of listings are strong",
    },
    "clock ahead": {"test_unfinished_uploads_are_found": "uploads began by the server's clock"},
    "clock behind": {"test_unfinished_uploads_are_found": "uploads began by the server's clock"},
}
"""Tests of the contract that do not hold under a switch, and why."""
