"""Every way in which an S3 service differs from Amazon's, alone."""

from __future__ import annotations

from tests.dialects.s3_quirks import Quirks

__all__ = ["ENGINE_ONLY", "NEVER_LEARNED", "SWITCHES"]

SWITCHES = {
    "as Amazon": Quirks(),
    "checksums refused": Quirks(refuses_checksums=(501, "NotImplemented")),
    "checksums invalid": Quirks(refuses_checksums=(400, "InvalidRequest")),
    "no checksums": Quirks(no_checksums=True),
    "uniform parts": Quirks(uniform_parts=True),
    "weak etags in headers": Quirks(weak_etags="headers"),
    "weak etags": Quirks(weak_etags="everywhere"),
    "hidden region": Quirks(home_region="eu-west-9"),
    "plain prefixes": Quirks(plain_prefixes=True),
    "encoding ignored": Quirks(ignores_encoding=True),
    "byte order mark": Quirks(prologue="\ufeff"),
    "raw UTF-8 metadata": Quirks(metadata="utf8"),
    "ASCII metadata": Quirks(metadata="refused"),
    "etags without quotes": Quirks(plain_etags=True),
    "terse listings": Quirks(terse_listing=True),
    "version 1 listings": Quirks(v1_only=True),
    "errors after 200": Quirks(fails_after_200=True),
    "slashes folded": Quirks(folds_slashes=True),
}
"""By name."""

NEVER_LEARNED = {"HTML 400", "errors after 200"}
"""Switches that make requests fail by chance, so there is nothing to learn."""

ENGINE_ONLY = {
    "checksums refused",
    "checksums invalid",
    "no checksums",
    "weak etags in headers",
    "weak etags",
    "version 1 listings",
    "errors after 200",
}
"""Switches under which single calls of the provider fail, and the engine makes up for it."""
