"""How results look in notebooks, and as data frames."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.exceptions import ConfigurationError, NotFoundError
from dxflow_async.models import (
    Item,
    ItemList,
    JobInfo,
    JobList,
    SyncAction,
    SyncPlan,
    TransferReport,
    TransferResult,
)

HOSTILE = "<script>alert(1)</script>\u202e\udcff"
JOB = JobInfo("0123", "copy", HOSTILE, None, 1000.0, None, 1, 2, 3, 4, {HOSTILE: "<b>no</b>"}, (HOSTILE,))
RESULTS: list[Any] = [
    ItemList(
        [Item(HOSTILE, f"/b/{HOSTILE}", size=3, modification=1000.5, metadata={"k": HOSTILE}), Item("d", "/b/d/")]
    ),
    TransferReport([TransferResult(HOSTILE, "b", 5, error=NotFoundError(HOSTILE)), TransferResult("c", "d", 7)], 2.0),
    SyncPlan([SyncAction("copy", HOSTILE, 3, "new")]),
    JobList([JOB]),
]
EMPTY: list[Any] = [ItemList(), TransferReport(), SyncPlan(), JobList()]


@pytest.mark.parametrize("result", [*RESULTS, JOB], ids=lambda result: type(result).__name__)
def test_html_is_escaped(result: Any) -> None:
    """No text of a service becomes markup, hides itself, or cannot be encoded."""
    page = result._repr_html_()
    assert "<script" not in page
    assert "<b>no" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page
    assert page.encode()


def test_html_of_a_long_report_is_short() -> None:
    """A notebook shows fifty rows of a million, and how many there are."""
    page = TransferReport(TransferResult(str(n), "x", 1024) for n in range(2000))._repr_html_()
    assert page.count("<tr>") == 51
    assert "1950 more" in page
    assert "<b>bytes</b> 2.0 MiB" in page


def test_report_says_its_sums() -> None:
    """The numbers of a report are in its repr, its HTML and its dict alike."""
    results = [TransferResult("a", "b", 10, verified=True, attempts=2), TransferResult("c", "d", skipped="a pipe")]
    report = TransferReport([*results, TransferResult("", "e", deleted=True)], 2.0)
    report.concurrency = 48
    told = report.to_dict()
    names = ("bytes", "skipped", "failed", "deleted", "retries", "verified", "seconds", "goodput", "concurrency")
    assert [told[name] for name in names] == [10, 1, 0, 1, 1, 1, 2.0, 5.0, 48]
    for name in names:
        assert f"{name}=" in repr(report)
        assert f"<b>{name}</b>" in report._repr_html_()


@pytest.mark.parametrize("result", [*RESULTS, *EMPTY], ids=lambda result: type(result).__name__)
def test_data_frames(result: Any) -> None:
    """Pandas and Arrow get every row, with the same columns and types when there is none."""
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame, table = result.to_pandas(), result.to_arrow()
    assert len(frame) == len(table) == len(result)
    assert list(frame.columns) == table.column_names
    full = next(each for each in RESULTS if type(each) is type(result))
    assert table.schema == full.to_arrow().schema
    assert json.dumps(result.to_dict())


@pytest.mark.parametrize("result", [*RESULTS, *EMPTY, type(RESULTS[0])([Item("d", "/b/d/")])])
def test_data_frames_are_stored(result: Any, tmp_path: Path) -> None:
    """Every data frame is written to Parquet and read again, also where no item has metadata."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = result.to_pandas()
    frame.to_parquet(tmp_path / "frame")
    assert list(pandas.read_parquet(tmp_path / "frame").columns) == list(frame.columns)


def test_values_of_data_frames() -> None:
    """Times are in UTC, unknown ones are missing, and numbers are numbers."""
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    items = RESULTS[0]
    moment = datetime(1970, 1, 1, 0, 16, 40, 500_000, tzinfo=UTC)
    table = items.to_arrow().to_pydict()
    assert table["modification"] == [moment, None]
    assert table["metadata"] == [[("k", "<script>alert(1)</script>\u202e\\udcff")], []]
    frame = items.to_pandas()
    assert frame["modification"][0] == moment
    assert frame["size"].sum() == 3
    assert RESULTS[3].to_pandas()["pid"].isna().all()


@pytest.mark.parametrize(("call", "extra"), [("to_pandas", "pandas"), ("to_arrow", "arrow")])
def test_missing_packages_are_named(call: str, extra: str) -> None:
    """Without the package the error says which extra installs it."""
    code = (
        "import sys; sys.modules['pandas'] = sys.modules['pyarrow'] = None\n"
        "from dxflow_async import ConfigurationError, ItemList\n"
        f"try: ItemList().{call}()\nexcept ConfigurationError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert f"pip install 'dxflow-async[{extra}]'" in told
    assert issubclass(ConfigurationError, ValueError)
