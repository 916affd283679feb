"""The modules that a call passes on its way down to the engine."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["CallPath"]


class CallPath:
    """Watches one call, until `Engine.run` is entered.

    Args:
        call: the call's qualified name, such as `"AsyncSession.copy"`.
        mark: a text in the call's source, which is followed.

    Attributes:
        modules: the modules in which a function was called with the source, in the order of the first call. That
            values with the source in them are made counts for nobody.
        stacks: the modules on the stack at each of these calls, from the call down; neighbours that are the same
            count once.
        engine_stack: the modules on the stack at `Engine.run`.
    """

    def __init__(self, call: str, mark: str) -> None:
        self.modules: list[str] = []
        self.stacks: set[tuple[str, ...]] = set()
        self._call = call
        self._mark = mark
        self.engine_stack: tuple[str, ...] = ()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watches what is called in the block."""
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
        assert self.engine_stack

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not _module(frame) or self.engine_stack or frame.f_code.co_filename == "<string>":
            return
        stack = self._stack(frame)
        if not stack:
            return
        code = frame.f_code
        if code.co_qualname == "Engine.run":
            self.engine_stack = stack
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if self.engine_stack or any(self._has_mark(frame.f_locals.get(name)) for name in names):
            self.stacks.add(stack)
            if stack[-1] not in self.modules:
                self.modules.append(stack[-1])

    def _stack(self, frame: FrameType | None) -> tuple[str, ...]:
        """The modules from the watched call down to a frame; empty when the frame is not below it."""
        found: list[str] = []
        while frame is not None:
            name = _module(frame)
            if name and (not found or found[-1] != name):
                found.append(name)
            if frame.f_code.co_qualname == self._call:
                return tuple(reversed(found))
            frame = frame.f_back
        return ()

    def _has_mark(self, value: Any) -> bool:
        if isinstance(value, str | os.PathLike):
            return self._mark in str(value)
        if isinstance(value, tuple | list):
            return any(map(self._has_mark, value))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return any(self._has_mark(getattr(value, each.name, None)) for each in dataclasses.fields(value))
        return False


def _module(frame: FrameType) -> str:
    """A frame's module below `dxflow_async`; empty for others."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.removeprefix("dxflow_async.") if name.startswith("dxflow_async.") else ""
