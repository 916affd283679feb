"""Pages with charts: well-formed, self-contained, and safe whatever names are in them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.exceptions import AccessDeniedError
from dxflow_async.pages.charts import columns, curve, marks, nice_ceiling, time_axis
from dxflow_async.pages.document import duration_text, name, number_text, text
from dxflow_async.reports import TransferReport, TransferResult
from dxflow_async.timeline import Bucket, Timeline

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
HTML = "{http://www.w3.org/1999/xhtml}"

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "&amp; ]]> <!-- -->",
    "line\nbreak\ttab\x00nul\x1b[31m",
    "\u202egnp.exe\ufffe\uffff",
    "caf\udce9",  # a byte that is not UTF-8
    "مرحبا",
    "</style></title>",
]


class Tags(HTMLParser):
    """Collects what a browser would see: elements and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def elements_of(page: str) -> ET.Element:
    """Returns the tree of a page, which is well-formed, needs no network and has no script."""
    tags = Tags()
    tags.feed(page)
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "link", "iframe", "object", "embed", "base", "a"}
    for _, attributes in tags.seen:
        assert not {each for each in attributes if each in ("src", "href", "srcset") or each.startswith("on")}
    assert not re.search(r"url\(|@import", page)
    assert page.encode("utf-8")
    return ET.fromstring(page.partition("\n")[2])


def report_of(names: list[str]) -> TransferReport:
    """Returns a report with a record, in which each of these names succeeded and failed."""
    report = TransferReport()
    timeline = report.timeline = Timeline("copy", "src", "aws:/bucket/", {"part_size": 8 << 20, "durable": True})
    for each in names:
        report.note(TransferResult(each, each, 1000, 0.5, 2, verified=True))
        error = AccessDeniedError(f"copy of {each} failed: access denied; check the rights", path=each)
        report.note(TransferResult(each, each, error=error))
        report.note(TransferResult(each, each, skipped=f"{each} exists"))
    timeline.sample(0.3, Bucket(10_000, 3, 1, 2, 1, 8, 0.8, 1.5, 12))
    timeline.sample(0.9, Bucket(90_000, 9, 1, 2, 1, 80, 9.8, 1.5, 24))
    report.seconds = 0.9
    return report


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_text(hostile: str) -> None:
    """A name is shown and does nothing; control characters and changes of direction are escapes."""
    report = report_of([hostile])
    assert report.timeline is not None
    report.timeline.source = report.timeline.destination = hostile
    report.timeline.settings = {hostile: hostile, "include": [hostile]}
    report.notices, report.unverified, report.job_id = (hostile,), {hostile: 1}, hostile
    shown = "".join(elements_of(report.to_html()).itertext())
    assert not set(shown) & set("\x00\x1b\u202e\ufffe")
    if hostile.isprintable() and hostile.isascii():
        assert hostile in shown


@given(st.lists(st.text(st.characters(), max_size=20), max_size=4))
def test_any_name_gives_a_well_formed_page(names: list[str]) -> None:
    """Whatever characters a name has."""
    elements_of(report_of(names).to_html())


def test_the_page_has_every_part() -> None:
    """Charts over time, histograms, the slowest items, failures by reason, and settings."""
    page = elements_of(report_of(["a", "b", "c"]).to_html())
    titles = [each.text for each in page.iter(f"{HTML}h2")]
    assert titles == [
        "Goodput",
        "Items a second",
        "Requests at once",
        "Latency of requests",
        "Sizes",
        "Durations",
        "Slowest items",
        "Failures by reason",
        "Notes",
        "Settings that applied",
    ]
    labels = [str(each.get("aria-label")) for each in page.iter(f"{SVG}svg")]
    assert "Retries and throttles" in labels
    assert all(labels)
    shown = " ".join(page.itertext())
    for part in ("2 retries", "1 throttled", "copy of … failed", "part_size", "8 MiB", "a exists"):
        assert part in shown, part


def test_failures_with_hostile_names_are_one_group() -> None:
    """Names that errors show escaped do not tell their reasons apart."""
    report = TransferReport()
    for each in ("a\u202eb", "c\u202ed"):
        shown = each.replace("\u202e", "\\u202e")
        error = AccessDeniedError(f"copy of {shown} failed: access denied", path=each)
        report.append(TransferResult(each, "there", error=error))
    assert [(reason, len(items)) for reason, items in report.failure_groups()] == [
        ("copy of … failed: access denied", 2)
    ]


def test_a_report_without_a_record_has_a_page() -> None:
    """Its histograms are made from its items; nothing is drawn over time."""
    page = elements_of(TransferReport([TransferResult("a", "b", 5, 0.1)], 0.5).to_html())
    assert [each.text for each in page.iter(f"{HTML}h2")] == ["Sizes", "Durations", "Slowest items"]
    assert elements_of(TransferReport().to_html()) is not None


def test_secrets_of_urls_are_not_shown() -> None:
    """Signed URLs and passwords in URLs lose what is secret, wherever they stand."""
    url = "https://me:hunter2@host/a?X-Amz-Signature=abcdef"
    report = report_of([url])
    report.notices = (url,)
    page = report.to_html()
    assert "hunter2" not in page
    assert "abcdef" not in page
    assert "https://***@host/a" in page


def test_points_lie_within_the_drawing() -> None:
    """Values are scaled to the next round number; a negative one counts as 0."""
    tree = ET.fromstring(f"<x>{curve('t', [(0.0, -5.0), (1.0, 70.0), (2.0, 99.0)], 2.0, str)}</x>")
    (line,) = tree.iter(f"{SVG}polyline")
    points = [tuple(map(float, each.split(","))) for each in str(line.get("points")).split()]
    assert points == [(0, 200), (0, 200), (500, 60), (1000, 2), (1000, 2)]


def test_a_histogram_shows_gaps() -> None:
    """Bins that are missing between others take their place, so that the axis is even."""
    tree = ET.fromstring(f"<x>{columns('t', [(0, 1, 2), (1, 2, 4), (8, 16, 1)], str, 'items')}</x>")
    bars = list(tree.iter(f"{SVG}rect"))
    left = [float(str(each.get("x"))) for each in bars]
    assert len(bars) == 3
    assert left[2] - left[1] == pytest.approx(3 * (left[1] - left[0]), abs=0.3)


def test_marks_and_axes_have_labels() -> None:
    """Events are columns with a title, and times stand at round distances."""
    tree = ET.fromstring(f"<x>{marks('t', [('retry', [(0.0, 1.0, 3)])], 10.0)}{time_axis(95.0, duration_text)}</x>")
    assert [each.text for each in tree.iter(f"{SVG}title")] == ["3 retry"]
    assert [each.text for each in tree.iter("span")] == ["0 s", "20 s", "40 s", "1 min", "1 min 20 s"]


@given(st.floats(1e-9, 1e15), st.booleans())
def test_a_scale_is_a_little_above_its_values(value: float, binary: bool) -> None:
    """At most a third, so that a curve fills its chart."""
    assert value * 0.99 <= nice_ceiling(value, binary=binary) <= value * 1.4


def test_texts() -> None:
    """Numbers, times and names."""
    assert [duration_text(each) for each in (0, 0.9999, 59.999, 3600)] == ["0 s", "1 s", "1 min", "1 h"]
    assert number_text(12345.6) == "12,346"
    assert text("a\u202eb") == "a\\u202eb"
    assert name("<b>") == "<bdi>&lt;b&gt;</bdi>"


def test_benchmarks_are_drawn(tmp_path: Path) -> None:
    """`benchmarks report --html` draws the files of several races, and prints tables without the option."""
    figures = {"process_wall": 2, "process_cpu": 1, "rss": 1 << 26, "server_cpu": 1, "other_cpu": 0}
    for file, race in (("a.json", "http"), ("b.json", "world")):
        runs = [
            {"table": race, "row": "big-up", "contestant": contestant, "wall": wall, "cpu": wall, **figures}
            for contestant, wall in (("dxflow-async", 1.5), ("obstore", 3.0))
        ]
        content = {"rows": {"big-up": "<b>1 GiB up"}, "runs": runs, "machine": {"cpus": 2}}
        (tmp_path / file).write_text(json.dumps(content))
    command = [sys.executable, "-m", "benchmarks", "report", str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.count("<b>1 GiB up") == 2
    subprocess.run([*command, "--html", str(tmp_path / "page.html")], cwd=ROOT, check=True)
    page = elements_of((tmp_path / "page.html").read_text("utf-8"))
    assert [each.text for each in page.iter(f"{HTML}h2")].count("<b>1 GiB up") == 2
