"""Code blocks of Markdown documents."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["python_blocks"]


def python_blocks(document: Path) -> list[str]:
    """The text of every ```python block, in order."""
    text = document.read_text("utf-8")
    return re.findall(r"^```python[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
