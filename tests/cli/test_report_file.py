"""`--report`: a page with charts of what a command has done."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from dxflow_async.cli.report_file import ReportFile, joined
from dxflow_async.exceptions import ConfigurationError, StorageError
from dxflow_async.reports import TransferReport, TransferResult
from dxflow_async.timeline import Bucket, Timeline
from tests.cli.called_command import Command
from tests.servers.weed import SeaweedFS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with two files, one of them with a hostile name."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "plain.txt").write_bytes(b"aaa")
    (tree / "<script>alert(1)<").write_bytes(b"bb")
    return tree


def texts_of(page: Path) -> str:
    """Returns the texts of a page, which has to be well-formed."""
    content = page.read_text("utf-8")
    assert content.startswith("<!DOCTYPE html>\n")
    assert "<script" not in content
    return " ".join(" ".join(ET.fromstring(content.partition("\n")[2]).itertext()).split())


@pytest.mark.parametrize("verb", ["cp", "mv", "sync"])
def test_a_transfer_writes_its_page(signed_in: Command, tree: Path, tmp_path: Path, verb: str) -> None:
    """The page names both ends, its figures and the settings, and nothing else is left beside it."""
    assert tree.exists()
    result = signed_in(verb, "tree/", "aws:/bucket/there/", "--report", "report.html", "--part-size", "16MiB")
    assert result.status == 0, result.stderr
    shown = texts_of(tmp_path / "report.html")
    for text in ("done", "tree/", "aws:/bucket/there/", "2 items", "<script>alert(1)<", "part_size 16 MiB"):
        assert text in shown, text
    assert "your_password" not in shown
    assert [each for each in os.listdir(tmp_path) if each.startswith(".dxflow-report")] == []


def test_several_places_share_a_page(signed_in: Command, tree: Path, tmp_path: Path) -> None:
    """Sources of two places are two calls, and the page shows both."""
    assert tree.exists()
    assert signed_in("cp", "tree/plain.txt", "gcp:/bucket/other/").status == 0
    done = signed_in("cp", "tree/plain.txt", "gcp:/bucket/other/plain.txt", "aws:/bucket/all/", "--report", "page.html")
    assert done.status == 0, done.stderr
    shown = texts_of(tmp_path / "page.html")
    assert "2 items, 6 B" in shown


def test_a_deletion_writes_its_page(signed_in: Command, tree: Path, tmp_path: Path) -> None:
    """`rm` has one, too, also when an object is missing."""
    assert tree.exists()
    assert signed_in("cp", "tree/", "aws:/bucket/there/").status == 0
    done = signed_in("rm", "aws:/bucket/there/*", "aws:/bucket/missing", "--report", "page.html")
    assert done.status != 0
    shown = texts_of(tmp_path / "page.html")
    for text in ("Deletion", "3 items", "1 failed", "aws:/bucket/missing"):
        assert text in shown, text


def test_a_failed_call_writes_its_page(command: Command, tree: Path, tmp_path: Path) -> None:
    """What failed is grouped by reason, and `jobs resume` writes a page of the rest."""
    assert tree.exists()
    in_the_way = tmp_path / "out" / "plain.txt"
    in_the_way.mkdir(parents=True)
    assert command("cp", "tree/", "out/", "--report", "page.html").status == 1
    shown = texts_of(tmp_path / "page.html")
    for text in ("1 failed", "Failures by reason", "dxflow-async jobs resume"):
        assert text in shown, text
    (job,) = [line.split()[0] for line in command("jobs", "list").stdout.splitlines()]
    in_the_way.rmdir()
    assert command("jobs", "resume", job, "--report", "page.html").status == 0
    assert "1 item, 3 B" in texts_of(tmp_path / "page.html")


def test_a_call_that_never_begins_writes_its_page(signed_in: Command, tmp_path: Path) -> None:
    """The page has the reason, and an old page of that name is replaced."""
    (tmp_path / "page.html").write_text("old")
    done = signed_in("cp", "missing-directory/", "aws:/bucket/there/", "--report", "page.html")
    assert done.status != 0
    assert "missing-directory" in texts_of(tmp_path / "page.html")


@pytest.mark.parametrize("name", ["missing/page.html", "tree", "n" * 300, "tree/plain.txt/page.html", "-"])
@pytest.mark.parametrize("verb", [("cp", "tree/"), ("sync", "tree/"), ("rm", "-r")])
def test_a_page_that_cannot_be_written_is_refused(
    signed_in: Command, tree: Path, name: str, verb: tuple[str, ...]
) -> None:
    """Before anything moves or goes."""
    assert signed_in("cp", "tree/plain.txt", "aws:/bucket/there/before").status == 0
    assert tree.exists()
    done = signed_in(*verb, "aws:/bucket/there/", "--report", name)
    assert done.status == 2
    assert "--report" in done.stderr
    assert signed_in("ls", "aws:/bucket/there/").stdout.split()[-1:] == ["before"]


@pytest.mark.parametrize("verb", [("cp", "tree/"), ("mv", "tree/"), ("sync", "tree/"), ("rm", "-r")])
def test_a_dry_run_has_no_page(signed_in: Command, tree: Path, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """The two options exclude each other."""
    assert tree.exists()
    done = signed_in(*verb, "aws:/bucket/there/", "--dry-run", "--report", "page.html")
    assert (done.status, (tmp_path / "page.html").exists()) == (2, False)
    assert "--dry-run" in done.stderr


def test_standard_streams_have_no_page(signed_in: Command, tmp_path: Path) -> None:
    """`cp -` refuses the option."""
    done = signed_in("cp", "-", "aws:/bucket/piped", "--report", "page.html")
    assert (done.status, (tmp_path / "page.html").exists()) == (2, False)


def test_a_link_and_a_pipe_stay_what_they_are(tmp_path: Path) -> None:
    """A page goes to the target of a symbolic link, and a device is written to instead of being replaced."""
    (tmp_path / "link").symlink_to("target")
    with ReportFile(tmp_path / "link") as page:
        page.show(TransferReport())
    assert (tmp_path / "link").is_symlink()
    assert "<html" in (tmp_path / "target").read_text()
    with ReportFile(Path(os.devnull)) as page:
        page.show(TransferReport())
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_page_that_fails_at_the_end_is_an_error(tmp_path: Path) -> None:
    """It says that the work is done. The call's own failure comes first."""
    directory = tmp_path / "gone"
    directory.mkdir()
    page = ReportFile(directory / "page.html")
    directory.rmdir()
    with pytest.raises(StorageError, match=r"was not written to .*what the command has done stays"), page:
        page.show(TransferReport())
    with pytest.raises(ConfigurationError, match="first"), page:
        raise ConfigurationError("first")


def test_joined_reports_keep_sums_and_times() -> None:
    """The report of calls that followed one another has all items, and their records one after the other."""
    reports = []
    for size in (3, 5):
        report = TransferReport([TransferResult("a", "b", size)], 0.2)
        report.timeline = Timeline("copy")
        report.timeline.sample(0.2, Bucket(bytes=size, items=1))
        reports.append(report)
    whole = joined(reports)
    assert whole.timeline is not None
    assert (whole.bytes, len(whole), whole.seconds) == (8, 2, 0.4)
    assert (whole.timeline.totals.bytes, whole.timeline.totals.items) == (8, 2)
    assert whole.timeline.seconds == pytest.approx(0.4)


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_call_writes_its_page(
    configured: SeaweedFS, home: Path, tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    """Ctrl-C and SIGTERM end the transfer, and the page shows what it did until then, and how to go on."""
    bucket = configured.create_bucket(f"interrupted-{status}")
    source = tmp_path / "source"
    source.mkdir()
    (source / "0").write_bytes(b"small")  # once it is done, there is a job
    for number in range(1, 8):
        (source / str(number)).write_bytes(bytes(2_000_000))
    command = [sys.executable, "-m", "dxflow_async", "cp", "source/", f"aws:/{bucket}/", "--direct", "--quiet"]
    command += ["--bandwidth", "1MiB", "--report", "page.html"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list((home / "jobs").glob("*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    shown = texts_of(tmp_path / "page.html")
    assert "interrupted" in shown
    assert "dxflow-async jobs resume" in shown
