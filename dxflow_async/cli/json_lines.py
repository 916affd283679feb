"""The JSON lines of `--json`: one object on each line, with the version of the form and a type.

`dxflow_async/docs/json.md` describes them, and `dxflow_async/docs/json.schema.json` is their JSON Schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dxflow_async.blocking.tables import write_line, write_text
from dxflow_async.exceptions import DxflowError, StorageError
from dxflow_async.models import Item, SyncPlan, TransferReport, TransferResult

__all__ = ["VERSION", "error_line", "item_fields", "print_json", "print_plan", "print_report", "say", "wants_json"]

VERSION = 1
"""The version of the form. It rises when a field is removed or changes its meaning; new fields may come at any time."""


def wants_json(arguments: tuple[str, ...] | list[str]) -> bool:
    """Returns whether a command line has the option `--json`."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def print_json(kind: str, fields: Mapping[str, Any]) -> None:
    """Prints one line.

    Args:
        kind: the type of the line, such as `"item"`.
        fields: the other fields, in plain JSON types.
    """
    write_line(_line(kind, fields))


def say(text: str, *, json: bool) -> None:
    """Prints what a command has done, as a text or as a JSON line."""
    if json:
        print_json("message", {"message": text})
    else:
        write_text(text)


def error_line(error: Exception | str, status: int) -> str:
    """Formats a failure of the whole command, with the exit status."""
    fields: dict[str, Any] = {"error": "Interrupted" if isinstance(error, str) else type(error).__name__}
    fields |= {"message": str(error), "status": status}
    if isinstance(error, StorageError):
        fields |= {"provider": error.provider, "operation": error.operation, "path": error.path, "code": error.code}
    elif not isinstance(error, DxflowError | str):
        fields |= {"path": getattr(error, "filename", None)}
    return _line("error", fields)


def item_fields(location: str, item: Item) -> dict[str, Any]:
    """Returns the fields of an object or directory.

    Args:
        location: the item as users write it.
        item: the item.
    """
    return {
        "location": location,
        "name": item.name,
        "directory": item.directory,
        "size": item.size,
        "modification": item.modification or None,
        "etag": item.etag,
        "checksum": item.checksum,
        "content_type": item.content_type,
        "metadata": dict(item.metadata),
        "unreadable": item.unreadable,
    }


def print_report(report: TransferReport) -> None:
    """Prints a line for each item of a transfer, and one with the sums."""
    for result in report:
        print_json("result", {"state": _state(result), **result.to_dict()})
    sums = {name: value for name, value in report.to_dict().items() if name not in ("items", "timeline")}
    counts = {"items": len(report), "failed": len(report.failed), "verified": report.verified}
    print_json("report", {**sums, **counts, "skipped": len(report.skipped), "deleted": len(report.deleted)})


def print_plan(plan: SyncPlan) -> None:
    """Prints a line for each action of a sync, and one with the sums."""
    values = plan.to_dict()
    for action in values.pop("actions"):
        print_json("action", action)
    print_json("plan", values)


def _state(result: TransferResult) -> str:
    if result.error is not None:
        return "failed"
    if result.skipped is not None:
        return "skipped"
    return "deleted" if result.deleted else "done"


def _line(kind: str, fields: Mapping[str, Any]) -> str:
    # Lone surrogates stand for bytes that are not UTF-8; JSON writes them as escapes.
    return json.dumps({"version": VERSION, "type": kind, **fields})
