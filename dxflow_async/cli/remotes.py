"""`remotes list`, `remotes add`, `remotes test` and `remotes remove`: named places to keep bytes, on this machine."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter

from dxflow_async.blocking.fitting import terminal_columns
from dxflow_async.blocking.tables import fitted, labelled_line, write_line, write_text
from dxflow_async.cli.json_lines import print_json, say
from dxflow_async.cli.run import Flag, Texts, read_secret, run_loop
from dxflow_async.cli.status import NOT_FOUND, Failures, complain
from dxflow_async.config.kinds import UnusableSettings, kind_name, settings_class
from dxflow_async.config.loader import ConfigFile, Field, Found, convert, fields_of, nearest
from dxflow_async.config.remotes import BUILT_IN, build, remote_name, variable_start
from dxflow_async.config.sdk_configuration import configured_by
from dxflow_async.config.settings import Settings, config_path
from dxflow_async.exceptions import ConfigurationError, NotFoundError
from dxflow_async.models import Item
from dxflow_async.plurals import counted
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession

__all__ = ["remotes"]

_MAX_LISTED = 1000

_LEAST_SETTINGS = 8
"""Columns that the settings of a remote get before they go to the next line."""

remotes = App(
    name="remotes", help="Named places to keep bytes: list, add, test and remove them.", result_action="return_value"
)

Options = Annotated[str, Parameter(negative=())]


@remotes.command(name="list")
def list_remotes(*, json: Flag = False) -> int:
    """List the remotes of this machine and their settings. Secrets are shown as ***.

    Args:
        json: Print a JSON object on each line.
    """
    settings = Settings.load()
    file = ConfigFile.read(config_path())
    named = {name: settings.remotes[name] for name in sorted(settings.remotes)}
    for name, own in {**{each: getattr(settings, each) for each in BUILT_IN}, **named}.items():
        row = _row(name, own, _origin(name, own, file))
        _print_remote(row, json=json)
    return 0


@remotes.command
def add(
    name: str,
    *,
    type: str,  # noqa: A002
    secret: Texts = (),
    replace: Flag = False,
    json: Flag = False,
    **options: Options,
) -> int:
    """Add a remote to the configuration file.

    The settings of its type are options: --endpoint https://minio.example.org --access-key ME. Secrets are no options,
    since other users see the arguments of a process: a secret is read from its variable, such as
    DXFLOW_REMOTE_MINIO_SECRET_KEY, if that is set; else it is asked for, or is a line of standard input. An access key
    of S3 asks for its secret key; for others write --secret NAME.

    Args:
        name: Two or more letters, digits and -.
        type: s3, azure, gcs, local or another type of this installation.
        secret: A secret to ask for, such as account_key; may be given several times.
        replace: Replace the settings of a remote that is there.
        json: Print what was added as JSON.
    """
    name = remote_name(name)
    kind = type.strip().lower()
    cls = settings_class(kind)
    known = {each.name: each for each in fields_of(cls)}
    found: dict[str, Found] = {}
    for option, text in options.items():
        field = _known(option, known)
        if field.secret:
            raise ConfigurationError(
                f"--{option.replace('_', '-')} is a secret and no option: set {variable_start(name)}"
                f"{field.name.upper()}, or add --secret {field.name} and type it when it is asked for"
            )
        shown = f"--{field.name.replace('_', '-')}"
        found[field.name] = Found(convert(shown, f"remotes.{name}.", field, text), shown)
    found |= _secrets(name, known, {_known(each, known).name for each in secret} | _implied(found, known))
    own = build(cls, f"remotes.{name}", found, "the options")
    values = {"type": kind} | {key: _plain(each.value) for key, each in found.items()}
    from dxflow_async.cli.config_file import put_remote

    put_remote(config_path(), name, values, replace=replace)
    row = _row(name, own, str(config_path()))
    if json:
        _print_remote(row, json=True)
    else:
        write_line(_line(row, "added "))
    return 0


@remotes.command(name="test")
def check(name: str, path: str = "/", *, json: Flag = False) -> int:
    """Make a request to a remote, and say what it found, and what is known of the service.

    The facts are optional parts of the protocol and limits that the service's answers, its host name or the settings
    tell. A refusal is believed for an hour, and no longer than a session.

    Args:
        name: The remote; aws, azure and gcp are remotes, too.
        path: What to look at: a directory, or without a slash at its end an object. By default the list of buckets, or
            what is at the top.
        json: Print it as JSON.
    """
    settings = Settings.load()
    provider = name.lower()
    if provider not in (*BUILT_IN, *settings.remotes):
        raise ConfigurationError(_unknown(name, [*BUILT_IN, *settings.remotes]))
    started = time.monotonic()

    async def look() -> tuple[int, bool, Item | None, Sequence[tuple[str, str]]]:
        async with AsyncSession(settings=settings) as session:
            storage = session.get_storage_manager()
            item, count = None, 1
            if path.endswith("/"):
                count = 0
                async for _ in storage.scan(provider, path, recursive=False):
                    count += 1
                    if count == _MAX_LISTED:
                        break
            else:
                item = await storage.stat(path, provider)
            return count, count == _MAX_LISTED, item, await storage.endpoint_facts(provider)

    count, more, item, facts = run_loop(look)
    seconds = time.monotonic() - started
    if json:
        row = {"name": provider, "path": path, "ok": True, "items": count, "more": more, "seconds": round(seconds, 3)}
        print_json("test", {**row, "facts": dict(facts)})
        return 0
    kind = (
        "a directory" if item is not None and item.directory else counted(item.size, "byte") if item is not None else ""
    )
    what = kind or (f"{count} or more items" if more else counted(count, "item"))
    write_text(f"{provider}:{printable(path)} answers: {what}, in {seconds:.2f} s")
    for fact, value in facts:
        write_line(labelled_line(f"  {printable(fact)}: ", value))
    return 0


@remotes.command
def remove(name: str, *, json: Flag = False) -> int:
    """Remove a remote from the configuration file. What is stored there stays.

    Args:
        name: The remote.
        json: Print a JSON object.
    """
    lower = name.lower()
    if lower in BUILT_IN:
        raise ConfigurationError(f"{lower} is always there; remove its section [{lower}] from {config_path()}")
    from dxflow_async.cli.config_file import remove_remote

    removed = remove_remote(config_path(), lower)
    defined = f"{variable_start(lower)}TYPE" in os.environ
    if removed:
        say(f"removed {printable(lower)}", json=json)
    if defined:
        complain(f"{variable_start(lower)}TYPE defines {lower} in the environment; unset it")
    elif not removed:
        failures = Failures(json=json)
        known = [*ConfigFile.read(config_path()).table("remotes")]
        failures.add(NotFoundError(f"{config_path()} has no remote {lower!r}{nearest(lower, known)}", operation="read"))
    return 0 if removed and not defined else NOT_FOUND


def _known(option: str, known: Mapping[str, Field]) -> Field:
    name = option.lstrip("-").replace("-", "_").lower()
    if name not in known:
        names = ", ".join(f"--{each.replace('_', '-')}" for each in known)
        near = nearest(f"--{name}", [f"--{each}" for each in known], shared="--").replace("_", "-")
        raise ConfigurationError(f"unknown option --{option.replace('_', '-')}{near}; this type has {names}")
    return known[name]


def _implied(found: Mapping[str, Found], known: Mapping[str, Field]) -> set[str]:
    """The secrets without which the options are of no use."""
    return {"secret_key"} if "access_key" in found and "secret_key" in known else set()


def _secrets(name: str, known: Mapping[str, Field], asked: set[str]) -> dict[str, Found]:
    """Secrets from the environment, and those that are to be asked for."""
    found = {}
    for field in known.values():
        variable = f"{variable_start(name)}{field.name.upper()}"
        if not field.secret or (variable not in os.environ and field.name not in asked):
            continue
        where = f"environment: {variable}" if variable in os.environ else field.name
        text = os.environ.get(variable) or read_secret(f"{field.name} of {name}: ", field.name)
        found[field.name] = Found(convert(where, f"remotes.{name}.", field, text), where)
    return found


def _row(name: str, settings: Any, origin: str | None) -> dict[str, Any]:
    """A remote as `list` shows it."""
    kind = kind_name(settings)
    secrets = {each.name for each in fields_of(type(settings)) if each.secret}
    row: dict[str, Any] = {"name": name, "type": kind, "settings": {}, "from": origin}
    if isinstance(settings, UnusableSettings):
        return {**row, "error": settings.reason}
    for each in dataclasses.fields(settings):
        value = getattr(settings, each.name)
        default = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        if value != default and not callable(value):
            row["settings"][each.name] = "***" if each.name in secrets or not each.repr else _plain(value)
    return row


def _origin(name: str, settings: Any, file: ConfigFile) -> str | None:
    """Where a remote is configured: the file, variables, or the configuration of a cloud's SDK."""
    start = f"DXFLOW_{name.upper()}_" if name in BUILT_IN else variable_start(name)
    section = file.tree if name in BUILT_IN else file.table("remotes")
    written = next((each for each in section if each.lower() == name), None)
    origins = [] if written is None else [str(file.path)]
    if any(f"{start}{each.name.upper()}" in os.environ for each in fields_of(type(settings))):
        origins.append(f"{start}*")
    if not origins and name in BUILT_IN and (source := configured_by(settings)) is not None:
        origins.append(source)
    return " and ".join(origins) or ("environment" if name not in BUILT_IN else None)


def _line(row: Mapping[str, Any], start: str = "") -> str:
    """Formats a remote as one line, or as several where the terminal is narrow."""
    values = " ".join(f"{key}={printable(str(value))}" for key, value in row["settings"].items())
    if "error" in row:
        values = f"cannot be used: {printable(row['error'])}"
    origin = row["from"] or "not configured"
    head, after = f"{start}{row['name']:12} {row['type']:6} ", f"{' ' if values else ''}({printable(origin)})"
    columns, taken = terminal_columns(), len(head) + len(after)
    if columns is None or taken + min(len(values), _LEAST_SETTINGS) <= columns:
        return f"{head}{fitted(values, columns, taken) if values else ''}{after}"
    below = [f"    {fitted(each, columns, 4)}" for each in (values, after.strip()) if each]
    return "\n".join([fitted(head.rstrip(), columns, 0), *below])


def _print_remote(row: Mapping[str, Any], *, json: bool) -> None:
    if json:
        # `type` is the type of the line.
        print_json("remote", {"kind" if name == "type" else name: value for name, value in row.items()})
    else:
        write_line(_line(row))


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else str(value)


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    return f"there is no remote {name!r}{nearest(name.lower(), names)}; there are {', '.join(names)}"
