"""Progress in notebooks: a bar of ipywidgets, or else one line that is updated."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from dxflow_async.models import Progress
from dxflow_async.progress_text import progress_text

__all__ = ["in_notebook", "notebook_bar"]


def in_notebook() -> bool:
    """Returns whether the program runs in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def notebook_bar(label: str) -> Iterator[Callable[[Progress], None]]:
    """Shows a bar in the output of the cell; yields the callback that updates it. It turns green or red at the end."""
    display = import_module("IPython.display").display
    try:
        widgets: Any = import_module("ipywidgets")
    except ImportError:
        line = display({"text/plain": label}, raw=True, display_id=True)
        yield lambda progress: line.update({"text/plain": progress_text(progress)}, raw=True)
        return
    bar, text = widgets.FloatProgress(min=0.0, max=1.0, description=label), widgets.Label()
    display(widgets.HBox([bar, text]))

    def show(progress: Progress) -> None:
        bar.value, text.value = progress.fraction or 0.0, progress_text(progress)

    try:
        yield show
    except BaseException:
        bar.bar_style = "danger"
        raise
    bar.bar_style = "success"
