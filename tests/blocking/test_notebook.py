"""What a notebook shows: cells run in a real kernel of Jupyter, and the messages that it sends are read."""

from __future__ import annotations

import os
import re
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.python_processes import clean_environment

pytest.importorskip("ipykernel", reason="needs a kernel of Jupyter: ipykernel")
manager = pytest.importorskip("jupyter_client.manager", reason="needs a client of kernels: jupyter_client")
kernelspec = pytest.importorskip("jupyter_client.kernelspec")

_LIMIT = 60.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

_WITHOUT_WIDGETS = """
class _NoWidgets:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ipywidgets":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

_hook = _NoWidgets()
sys.meta_path.insert(0, _hook)
_loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "ipywidgets"}
"""

_WITH_WIDGETS = """
sys.meta_path.remove(_hook)
sys.modules.update(_loaded)
"""


@dataclass(frozen=True)
class Cell:
    """What the kernel sent while a cell ran.

    Attributes:
        messages: the types and contents of the messages, in order.
    """

    messages: list[tuple[str, dict[str, Any]]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Returns the contents of the messages of a type."""
        return [content for found, content in self.messages if found == kind]

    @property
    def result(self) -> dict[str, str]:
        """The value of the cell's last line, by media type."""
        (content,) = self.of("execute_result")
        data: dict[str, str] = content["data"]
        return data

    @property
    def traceback(self) -> list[str]:
        """The lines of the traceback, without colours."""
        (content,) = self.of("error")
        return _COLOURS.sub("", "\n".join(content["traceback"])).rstrip().splitlines()

    @property
    def printed(self) -> str:
        """What went to standard output and standard error."""
        return "".join(content["text"] for content in self.of("stream"))


class Kernel:
    """A kernel that runs cells.

    Args:
        client: the client of the kernel.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, code: str) -> Cell:
        """Runs a cell to its end, whether or not it fails."""
        messages: list[tuple[str, dict[str, Any]]] = []

        def note(message: dict[str, Any]) -> None:
            messages.append((message["header"]["msg_type"], message["content"]))

        self._client.execute_interactive(
            textwrap.dedent(code), allow_stdin=False, stop_on_error=False, timeout=_LIMIT, output_hook=note
        )
        return Cell(messages)

    @contextmanager
    def without_widgets(self) -> Iterator[None]:
        """While in it, ipywidgets cannot be imported."""
        assert not self.run(_WITHOUT_WIDGETS).of("error")
        try:
            yield
        finally:
            assert not self.run(_WITH_WIDGETS).of("error")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with a directory `data` of three files, and with an open session of each kind."""
    directory = tmp_path_factory.mktemp("notebook")
    (directory / "data").mkdir()
    for name in ("one.csv", "two.csv", "three.csv"):
        (directory / "data" / name).write_bytes(bytes(100_000))
    for name in ("one.csv", "two.csv"):
        (directory / "blocked" / name / "in the way").mkdir(parents=True)
    environment = clean_environment(
        directory / "home",
        **{name: str(directory / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")},
    )
    with _started_kernel(environment, directory) as client:
        kernel = Kernel(client)
        started = kernel.run("""
            import sys
            from dxflow_async import AsyncSession, Session
            session, other = Session(), AsyncSession()
        """)
        assert not started.of("error"), started.traceback
        yield kernel
        kernel.run("session.close()")
        kernel.run("await other.aclose()")


@contextmanager
def _started_kernel(environment: dict[str, str], directory: Path) -> Iterator[Any]:
    """The client of a kernel of this interpreter, whatever other kernels are installed for the user."""
    with tempfile.TemporaryDirectory() as sockets:  # the path of a socket must be short
        running = manager.KernelManager(
            kernel_spec_manager=kernelspec.KernelSpecManager(kernel_dirs=[]),
            transport="ipc",
            connection_file=os.path.join(sockets, "kernel.json"),
        )
        running.start_kernel(env=environment, cwd=str(directory))
        client = running.blocking_client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=_LIMIT)
            yield client
        finally:
            client.stop_channels()
            running.shutdown_kernel(now=True)


def _states(cell: Cell, comm: str) -> Iterator[dict[str, Any]]:
    """The states of a widget, from its making on."""
    for kind in ("comm_open", "comm_msg"):
        for content in cell.of(kind):
            if content["comm_id"] == comm:
                yield content["data"].get("state", {})


def _models(cell: Cell) -> dict[str, str]:
    """The identifiers of the widgets that a cell made, by the names of their models."""
    return {each["data"]["state"].get("_model_name"): each["comm_id"] for each in cell.of("comm_open")}


def test_a_widget_shows_a_bar_that_ends_complete(kernel: Kernel) -> None:
    """The cell displays the box of a bar and a text, and the last state of both is that of the end."""
    pytest.importorskip("ipywidgets", reason="needs ipywidgets")
    cell = kernel.run("report = session.copy('data/', 'with-widget/')")
    assert not cell.of("error"), cell.traceback
    models = _models(cell)
    (shown,) = cell.of("display_data")
    assert shown["data"]["application/vnd.jupyter.widget-view+json"]["model_id"] == models["HBoxModel"]
    bar = list(_states(cell, models["FloatProgressModel"]))
    assert [each["value"] for each in bar if "value" in each][-1] == 1.0
    assert [each["bar_style"] for each in bar if "bar_style" in each][-1] == "success"
    assert "3 of 3 files" in [each["value"] for each in _states(cell, models["LabelModel"]) if "value" in each][-1]
    assert cell.printed == ""


def test_a_widget_shows_that_a_call_failed(kernel: Kernel) -> None:
    """The bar gets the style of a failure."""
    pytest.importorskip("ipywidgets", reason="needs ipywidgets")
    cell = kernel.run("session.copy('data/', 'blocked/')")
    assert cell.of("error")
    bar = list(_states(cell, _models(cell)["FloatProgressModel"]))
    assert [each["bar_style"] for each in bar if "bar_style" in each][-1] == "danger"


def test_without_widgets_one_line_is_updated(kernel: Kernel) -> None:
    """Each update replaces the one line that the cell displays; the last one is that of the end."""
    with kernel.without_widgets():
        cell = kernel.run("report = session.copy('data/', 'without-widget/')")
    assert not cell.of("error"), cell.traceback
    (shown,) = cell.of("display_data")
    updates = cell.of("update_display_data")
    assert {each["transient"]["display_id"] for each in (shown, *updates)} == {shown["transient"]["display_id"]}
    last = updates[-1]["data"]["text/plain"]
    assert "3 of 3 files" in last
    assert "\n" not in last
    assert not cell.of("comm_open")
    assert cell.printed == ""


def test_a_session_without_progress_shows_nothing(kernel: Kernel) -> None:
    """`Session(progress=False)` displays neither a widget nor a line."""
    cell = kernel.run("""
        with Session(progress=False) as quiet:
            quiet.copy('data/', 'quiet/')
    """)
    assert not cell.of("error"), cell.traceback
    assert {kind for kind, _ in cell.messages} <= {"status", "execute_input"}


def test_results_are_tables(kernel: Kernel) -> None:
    """The report, the listing and the job at the end of a cell are HTML, beside plain text."""
    report = kernel.run("session.copy('data/', 'reported/')").result
    assert report["text/html"].count("<tr>") == 4
    assert "reported/one.csv" in report["text/html"]
    assert "text/plain" in report
    listing = kernel.run("session.list('data/')").result["text/html"]
    assert "three.csv" in listing
    job = kernel.run("""
        job = session.start.copy('data/', 'started/')
        job.result()
        job
    """).result["text/html"]
    assert "<b>copy</b> done" in job


def test_cells_await_the_other_session(kernel: Kernel) -> None:
    """Calls of an `AsyncSession` are awaited in the kernel's own event loop, and their results are tables as well."""
    report = kernel.run("await other.copy('data/', 'awaited/')")
    assert not report.of("error"), report.traceback
    assert report.result["text/html"].count("<tr>") == 4
    job = kernel.run("""
        job = other.start.copy('data/', 'awaited-job/')
        seen = [progress async for progress in job]
        await job
        job
    """)
    assert not job.of("error"), job.traceback
    assert "<b>copy</b> done" in job.result["text/html"]
    assert kernel.run("seen[-1].fraction").result["text/plain"] == "1.0"


@pytest.mark.parametrize("call", ["session.copy('data/', 'blocked/')", "await other.copy('data/', 'blocked/')"])
def test_a_traceback_ends_in_a_summary(kernel: Kernel, call: str) -> None:
    """The last lines say how many items failed, why, and how to try them again."""
    lines = kernel.run(call).traceback
    start = max(number for number, line in enumerate(lines) if line.startswith("TransferError: "))
    message, *reasons, advice = lines[start:]
    assert message.startswith("TransferError: 2 of 3 items failed; the first: ")
    assert sum(int(each.split(" x ")[0]) for each in reasons) == 2
    assert advice.startswith("error.report.retry_failed() tries these items again")


@pytest.mark.parametrize("call", ["session.copy('nothing/', 'there/')", "await other.copy('nothing/', 'there/')"])
def test_a_traceback_of_one_failure_ends_in_its_message(kernel: Kernel, call: str) -> None:
    """The last line names what is missing."""
    last = kernel.run(call).traceback[-1]
    assert last.startswith("NotFoundError: ")
    assert "nothing" in last


def test_a_cell_starts_processes(kernel: Kernel) -> None:
    """Calls of cells run on processes, though a notebook is no program that these could import."""
    cell = kernel.run("""
        print(len(session.copy("data/", "on-processes/", processes=1, on_progress=lambda progress: None)))
        print(len(await other.copy("data/", "on-other-processes/", processes=1)))
    """)
    assert not cell.of("error"), cell.traceback
    assert cell.printed == "3\n3\n"
