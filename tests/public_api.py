"""Writes down the public interface: each public name with its signature, methods and attributes.

`python -m tests.public_api` renews `tests/public_api.txt`, which a test compares with what is there.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_origin

__all__ = ["RECORD", "describe"]

RECORD = Path(__file__).with_name("public_api.txt")

_DOORS = ("dxflow_async", "dxflow_async.providers", "dxflow_async.testing")
_ADDRESS = re.compile(r"<function .*? at 0x[0-9a-f]+>")
_SPECIAL = ("__aenter__", "__aexit__", "__aiter__", "__anext__", "__call__", "__enter__", "__exit__", "__iter__")


def describe() -> str:
    """Returns one line for each name of each door."""
    lines: list[str] = []
    for door in _DOORS:
        module = import_module(door)
        for name in sorted(module.__all__):
            lines += _lines(f"{door}.{name}", getattr(module, name))
    return "".join(f"{line}\n" for line in lines)


def _lines(path: str, value: object) -> Iterator[str]:
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {path}({bases})"
        yield from _members(path, value)
    elif get_origin(value) is not None:
        yield f"alias {path}"
    elif callable(value):
        yield f"function {path}{_signature(value)}"
    else:
        yield f"value {path}: {type(value).__name__}"


def _members(path: str, cls: type) -> Iterator[str]:
    """Yields the members that a class and its bases of this package define."""
    fields = {each.name: each for each in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else {}
    for name, each in fields.items():
        if not name.startswith("_"):
            required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
            yield f"field {path}.{name}: {each.type}{'' if required else ' = ...'}"
    for name in sorted({name for base in cls.__mro__ if _is_ours(base) for name in vars(base)}):
        if name in fields or (name.startswith("_") and name not in _SPECIAL and name != "__init__"):
            continue
        member = inspect.getattr_static(cls, name)
        if isinstance(member, property):
            yield f"property {path}.{name}"
        elif isinstance(member, (classmethod, staticmethod)):
            yield f"{type(member).__name__} {path}.{name}{_signature(member.__func__)}"
        elif inspect.isfunction(member) and not (name == "__init__" and fields):
            kind = "async method" if inspect.iscoroutinefunction(member) else "method"
            yield f"{kind} {path}.{name}{_signature(member)}"


def _is_ours(cls: type) -> bool:
    return cls.__module__.startswith("dxflow_async")


def _signature(function: object) -> str:
    try:
        return _ADDRESS.sub("...", str(inspect.signature(function)))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "(...)"


if __name__ == "__main__":
    RECORD.write_text(describe(), "utf-8")
