"""Errors that are caused by a lack of descriptors."""

from __future__ import annotations

import errno

from dxflow_async.concurrency.descriptors import is_out_of_descriptors


def test_causes_are_looked_at() -> None:
    """An error that a lack of descriptors has caused counts, and one that is its own cause ends the search."""
    outer, inner = ValueError("outer"), ValueError("inner")
    outer.__cause__ = inner
    assert not is_out_of_descriptors(outer)
    inner.__cause__ = OSError(errno.EMFILE, "too many open files")
    assert is_out_of_descriptors(outer)
    inner.__cause__ = outer
    assert not is_out_of_descriptors(outer)
