"""Tells whether a file is closed because a `with` block has raised.

A file's own `__exit__` is told of the exception. Many libraries close files in the `__exit__` of something else, as
pandas, pyarrow, fsspec, `contextlib` and `io.TextIOWrapper` do, and then the file only sees a call of `close`. The
calls above say why: one of them is an `__exit__` that was given an exception, or the interpreter is at the instruction
that makes such a call, which is all there is to see of an `__exit__` in C.

A block that had raised before the file was opened says nothing of the file: an `__exit__` may write files, too. And
garbage collection, which closes files at any time, says nothing of the blocks that it interrupts. An `except` or a
`finally` clause is not a block: closing a file there stores it.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Container, Iterator
from types import CodeType, FrameType

__all__ = ["block_has_raised", "exit_with_error", "raised_blocks"]

_CALLS_EXIT = dis.opmap["WITH_EXCEPT_START"]

_EXITS = ("__exit__", "__aexit__")

_DEPTH = 12
"""How many calls above `close` are looked at: other files, and the libraries', lie between."""


def raised_blocks() -> frozenset[int]:
    """Returns which `with` blocks have raised, and are about to end, above the caller, which opens a file."""
    if sys.exception() is None:
        return frozenset()
    return frozenset(id(frame) for frame, raised in _above(sys._getframe(1)) if raised)


def block_has_raised(before: Container[int] = ()) -> bool:
    """Returns whether the caller, which closes a file, is called because a `with` block has raised.

    Args:
        before: what `raised_blocks` returned when the file was opened.
    """
    if sys.exception() is None:
        return False
    for depth, (frame, raised) in enumerate(_above(sys._getframe(1))):
        if depth == _DEPTH or raised is False:
            break
        if raised:
            return id(frame) not in before
    return False


def exit_with_error(codes: Container[CodeType]) -> bool:
    """Returns whether one of some `__exit__` methods, called with an exception, has called the caller."""
    if sys.exception() is None:
        return False
    for depth, (frame, raised) in enumerate(_above(sys._getframe(1))):
        if depth == _DEPTH:
            break
        if frame.f_code in codes:
            return raised is True
    return False


def _above(frame: FrameType | None) -> Iterator[tuple[FrameType, bool | None]]:
    """Yields the calls above one, and whether each is about to end a block that raised; None: it ends no block."""
    while frame is not None and frame.f_code.co_name != "__del__":
        yield frame, _ends_raised_block(frame)
        frame = frame.f_back


def _ends_raised_block(frame: FrameType) -> bool | None:
    code = frame.f_code
    if code.co_name in _EXITS:
        count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04)
        given = [frame.f_locals.get(name) for name in code.co_varnames[1:count]]
        flat = [each for value in given for each in (value if isinstance(value, tuple) else (value,))]
        return any(isinstance(each, BaseException) for each in flat)
    return True if frame.f_lasti >= 0 and code.co_code[frame.f_lasti] == _CALLS_EXIT else None
