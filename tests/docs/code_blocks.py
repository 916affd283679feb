"""Code blocks of Markdown documents."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["code_blocks"]


def code_blocks(document: Path, language: str) -> list[str]:
    """Returns the text of every block of a language, such as `python`, in order."""
    text = document.read_text("utf-8")
    return re.findall(rf"^```{language}\b[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
