"""`ls` of one directory of this machine, which is the command that people type most: without what other places need.

It prints what `listing.ls` prints, from the same source of entries, with neither a session, an event loop nor a parser
of options. Whatever it does not know, it leaves to the command: other options, several places, patterns, and errors.
Settings are loaded where there are any, so that a mistake in them is reported as by every other command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import islice

__all__ = ["list_quickly"]

_FLAGS = {
    "--long": "", "-l": "", "--human": "human", "-h": "human", "--total": "total", "--json": "json",
    "--recursive": "recursive", "-r": "recursive", "-R": "recursive",
}  # fmt: skip

_MOST = 10_000
"""More entries are listed by the command, in pages."""


def list_quickly(arguments: Sequence[str]) -> int | None:
    """Lists a local directory; returns the exit status.

    Returns None, and has printed nothing, for every command line that it leaves to others.
    """
    if arguments[:1] != ["ls"]:
        return None
    flags = {_FLAGS.get(each) for each in arguments[1:] if each.startswith("-")}
    places = [each for each in arguments[1:] if not each.startswith("-")] or ["."]
    (place, *others) = places
    if None in flags or others or not place or any(each in ":*?[\\\0" for each in place):
        return None
    try:
        path = os.path.abspath(place) + ("/" if place.endswith("/") else "")
    except OSError:
        return None
    human, total, json, recursive = (name in flags for name in ("human", "total", "json", "recursive"))
    try:
        status = _list(place, path, human=human, total=total, json=json, recursive=recursive)
        sys.stdout.flush()
    except OSError as error:
        return _failed(error, json=json)
    return status


def _is_configured() -> bool:
    """Returns whether a setting may be in the environment, or in the configuration file."""
    if any(name.startswith("DXFLOW_") and name != "DXFLOW_HOME" for name in os.environ):
        return True
    given = os.environ.get("DXFLOW_HOME")
    # Those of the platforms: to ask `platformdirs` which one it is would take longer than the whole listing.
    data = (os.environ.get("XDG_DATA_HOME") or "~/.local/share", "~/.local/share", "~/Library/Application Support")
    return any(
        _may_exist(f"{home}/config.toml") for home in ([given] if given else [f"{each}/dxflow" for each in data])
    )


def _may_exist(path: str) -> bool:
    try:
        os.lstat(os.path.expanduser(path))
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return True


def _wrong_settings() -> Exception | None:
    """Loads the settings, and prints the warnings about them; returns what is wrong with them."""
    from dxflow_async.cli.log_lines import set_up_logging
    from dxflow_async.config.settings import Settings
    from dxflow_async.exceptions import ConfigurationError

    set_up_logging()
    try:
        Settings.load()
    except ConfigurationError as error:
        return error
    return None


def _failed(error: Exception, *, json: bool) -> int:
    """Reports a failure as all commands do: of the settings, or of the output; returns the exit status."""
    from dxflow_async.cli.status import reported

    def call() -> int:
        raise error

    return reported(call, json=json)


def _list(place: str, path: str, *, human: bool, total: bool, json: bool, recursive: bool) -> int | None:
    from dxflow_async.blocking.fitting import terminal_columns
    from dxflow_async.blocking.tables import format_item, write_line, write_text
    from dxflow_async.cli.json_lines import item_fields, print_json
    from dxflow_async.cli.locations import location_of
    from dxflow_async.cli.sizes import human_size, total_text
    from dxflow_async.exceptions import DxflowError
    from dxflow_async.models import Item
    from dxflow_async.providers.registry import disk_entries

    if not os.path.isdir(path):
        return None
    try:
        entries = [*islice(disk_entries(path, recursive=recursive), _MOST)]
    except (OSError, DxflowError):
        return None
    if not entries or len(entries) == _MOST:
        return None
    if _is_configured() and (wrong := _wrong_settings()) is not None:
        return _failed(wrong, json=json)
    items = [
        Item(
            f"/{each.key}".rstrip("/").rpartition("/")[2],
            f"/{each.key}",
            each.directory,
            each.size,
            each.modified,
            each.etag,
            unreadable=each.unreadable,
        )
        for each in entries
    ]
    columns = terminal_columns()
    for item in items:
        if json:
            print_json("item", item_fields(location_of(place, f"/{path.strip('/')}", item.path), item))
        else:
            shown = human_size(item.size) if human else None
            write_line(format_item(item, below=path if recursive else None, size=shown, columns=columns))
    count, size = sum(not each.directory for each in items), sum(each.size for each in items)
    if total and json:
        print_json("total", {"objects": count, "size": size})
    elif total:
        write_text(total_text(count, size, human=human))
    return 0
