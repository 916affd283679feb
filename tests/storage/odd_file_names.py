"""Names of files that services, protocols and other systems treat in a special way, and places refuse or keep."""

from __future__ import annotations

__all__ = ["KEPT_EVERYWHERE", "NOT_IN_XML", "REFUSED_AT_AZURE", "UNENCODABLE"]

KEPT_EVERYWHERE = [
    "plain",
    " leading blank",
    "trailing blank ",
    ".leading dot",
    "..two dots",
    "~",
    "-rf",
    "*",
    "a+b",
    "a b",
    "a%2Fb",
    "a%20b",
    "%",
    "%zz",
    "what?",
    "q=1&r=2",
    "hash#tag",
    "semi;colon:colon",
    "quote'\"<>&amp;",
    "[set]{brace}",
    "a$b@c!d(e)f,g=h",
    "CON",
    "aux.txt",
    "NUL",
    "Case",
    "case",
    "caf\u00e9",
    "cafe\u0301",
    "\u2028line",
    "\u0085next",
    "\ufeffmark",
    "\u202eright to left",
    "\U0001f600 emoji",
    "\U00010ffd",
    "line\nbreak",
    "tab\tstop",
    "cr\rreturn",
    "\x7fdelete",
    "n" * 255,
    "\u00e9" * 127,
    "/".join(["d" * 99] * 8 + ["e" * 100]),  # 900 bytes
    "dir/a",
    "dir.d/a",
    "dir+/a%41",
]
"""Names that every place keeps as they are."""

REFUSED_AT_AZURE = ["...", "ends in a dot.", "back\\slash", "dot./file"]
"""Names that Azure would change: it takes a backslash for a slash, and removes dots at the end of segments.

Source: https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
"""

NOT_IN_XML = ["ctrl\x01\x1f", "\ufffe"]
"""Names with characters that XML 1.0 does not have. Azurite fails to list them, unlike Azure."""

UNENCODABLE = [b"caf\xe9", b"\xff\xfe"]
"""Names of files in bytes that are not UTF-8."""
