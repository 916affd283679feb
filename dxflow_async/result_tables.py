"""Tables of results: HTML for notebooks, and data frames of pandas and tables of Arrow."""

from __future__ import annotations

import html
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import islice
from typing import Any, Generic, TypeVar

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import printable

__all__ = ["ResultList", "Table", "mapped", "size_text"]

T = TypeVar("T")

_SHOWN_ROWS = 50
"""How many rows a notebook shows."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_EXTRAS = {"pandas": "pandas", "pyarrow": "arrow"}


class Table:
    """Results that notebooks show as a table, and that become data frames.

    A subclass names its columns, each with its type: `"text"`, `"int"`, `"float"`, `"bool"`, `"id"` (a number or None),
    `"time"` (seconds since the
    epoch, 0.0 if unknown), `"texts"` (a list) or `"map"` (texts by text).
    """

    __slots__ = ()

    @abstractmethod
    def _columns(self) -> Mapping[str, str]:
        """Returns the type of each column, by its name."""

    @abstractmethod
    def _rows(self) -> Iterator[Mapping[str, Any]]:
        """Yields the rows as plain values."""

    @abstractmethod
    def _heading(self) -> Sequence[tuple[str, str]]:
        """Returns what is shown above the table: pairs of a name and a value."""

    @abstractmethod
    def __len__(self) -> int: ...

    def to_pandas(self) -> Any:
        """Returns the rows as a `pandas.DataFrame`. Times are in UTC; characters that UTF-8 lacks become escapes.

        Metadata is None where there is none: Parquet stores no column of empty dictionaries.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        pandas = _imported("pandas")
        columns, values = self._columns(), self._values()
        for name in (name for name, kind in columns.items() if kind == "map"):
            values[name] = [each or None for each in values[name]]
        frame = pandas.DataFrame(values, columns=list(columns))
        kinds = {"int": "int64", "id": "Int64", "float": "float64", "bool": "bool"}
        frame = frame.astype({name: kinds[kind] for name, kind in columns.items() if kind in kinds})
        for name in (name for name, kind in columns.items() if kind == "time"):
            frame[name] = pandas.to_datetime(frame[name], utc=True)
        return frame

    def to_arrow(self) -> Any:
        """Returns the rows as a `pyarrow.Table`. Times are in UTC; characters that UTF-8 lacks become escapes.

        Raises:
            ConfigurationError: pyarrow is not installed.
        """
        arrow = _imported("pyarrow")
        types = {
            "text": arrow.string(),
            "int": arrow.int64(),
            "id": arrow.int64(),
            "float": arrow.float64(),
            "bool": arrow.bool_(),
            "time": arrow.timestamp("us", tz="UTC"),
            "texts": arrow.list_(arrow.string()),
            "map": arrow.map_(arrow.string(), arrow.string()),
        }
        columns, values = self._columns(), self._values()
        for name in (name for name, kind in columns.items() if kind == "map"):
            values[name] = [list(each.items()) for each in values[name]]
        return arrow.table(values, schema=arrow.schema([(name, types[kind]) for name, kind in columns.items()]))

    def _values(self) -> dict[str, list[Any]]:
        """Returns the values of each column."""
        columns = self._columns()
        values: dict[str, list[Any]] = {name: [] for name in columns}
        for row in self._rows():
            for name, kind in columns.items():
                values[name].append(_time(row[name]) if kind == "time" else _utf8(row[name]))
        return values

    def _repr_html_(self) -> str:
        """Returns the table as HTML, at most its first fifty rows. Every text in it is escaped."""
        columns = self._columns()
        heading = " ".join(f"<b>{html.escape(name)}</b> {html.escape(value)}" for name, value in self._heading())
        lines = [f"<div><p>{heading}</p>", "<table><thead><tr>"]
        lines += [f"<th>{html.escape(name)}</th>" for name in columns]
        lines.append("</tr></thead><tbody>")
        for row in islice(self._rows(), _SHOWN_ROWS):
            cells = (_cell(row[name], kind) for name, kind in columns.items())
            lines.append(f"<tr>{''.join(cells)}</tr>")
        lines.append("</tbody></table>")
        if len(self) > _SHOWN_ROWS:
            lines.append(f"<p>{len(self) - _SHOWN_ROWS} more</p>")
        return "".join([*lines, "</div>"])


class ResultList(list[T], Table, Generic[T]):
    """A list of results that notebooks show as a table."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the results as plain JSON types: `{"items": [...]}`."""
        return {"items": list(self._rows())}

    def _heading(self) -> Sequence[tuple[str, str]]:
        return [("items", str(len(self)))]


def size_text(size: float) -> str:
    """Returns a number of bytes with a binary unit.

    Example:
        >>> size_text(512), size_text(3 << 20)
        ('512 B', '3.0 MiB')
    """
    unit = 0
    while abs(size) >= 1024 and unit < 5:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} B" if unit == 0 else f"{size:.1f} {'KMGTP'[unit - 1]}iB"


def mapped(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """Returns attributes of a value, by their names, as plain JSON types."""
    return {name: _plain(getattr(value, name)) for name in names}


def _imported(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        extra = _EXTRAS[package]
        text = f"{package} is not installed; install it with: pip install 'dxflow-async[{extra}]'"
        raise ConfigurationError(text) from error


def _time(seconds: float) -> datetime | None:
    if not seconds:
        return None
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None  # a service may report any number


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_utf8(key): _utf8(each) for key, each in value.items()}
    return [_utf8(each) for each in value] if isinstance(value, list) else value


def _cell(value: Any, kind: str) -> str:
    if kind in ("int", "float"):
        return f'<td style="text-align: right">{_number(value)}</td>'
    if kind == "time":
        moment = _time(value)
        value = "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
    elif kind == "texts":
        value = ", ".join(value)
    elif kind == "map":
        value = ", ".join(f"{key}: {each}" for key, each in value.items())
    return f"<td>{html.escape(printable(_utf8('' if value is None else str(value))))}</td>"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
