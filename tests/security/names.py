"""Names that a hostile place may give to what it holds."""

from __future__ import annotations

__all__ = ["HARMLESS", "REFUSED", "SPECIAL_ELSEWHERE"]

REFUSED = [
    "../climbs",
    "a/../../climbs",
    "..",
    "a/..",
    ".",
    "./here",
    "a/./b",
    "//absolute",
    "/absolute",
    "a//empty",
    "nul\0byte",
    "x/\0",
    "../" * 30 + "etc/passwd",
    "long/" + "x" * 256,
    "é" * 128,
]
"""Refused wherever they are to become a local file."""

SPECIAL_ELSEWHERE = [
    "C:drive",
    "C:/drive",
    "c:\\drive",
    "\\\\server\\share",
    "..\\climbs",
    "a\\..\\..\\climbs",
    "CON",
    "nul",
    "COM1",
    "com\u00b9",
    "LPT9.txt",
    "aux .tar.gz",
    "dir/PRN/file",
    "CONIN$",
    "trailing.",
    "trailing ",
    "dots./file",
    "spaces /file",
    "stream:hidden",
    "file::$DATA",
    "what?",
    "star*",
    'quote"',
    "less<more>",
    "pipe|",
    "ctrl\x01\x1f",
    "line\nbreak",
    "\x1b[2Jclear",
]
"""Plain names for a POSIX system, and something else on others."""

HARMLESS = [
    "plain.txt",
    "...",
    "..x",
    "x..",
    " ",
    "~",
    "-rf",
    "$HOME",
    "%2e%2e%2fescaped",
    "%252e%252e",
    "\uff0e\uff0e\uff0ffull-width",
    "\u202egnp.exe",
    "\ufeffmark",
    "COM10",
    "console",
    "nulls/nul1",
    "e\u0301",
    "\u00c9",
    "x" * 255,
]
"""Downloaded as they are."""
