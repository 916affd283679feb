"""The command `completion`."""

from __future__ import annotations

from typing import Literal

from dxflow_async.blocking.tables import write_line

__all__ = ["completion"]


def completion(shell: Literal["bash", "zsh", "fish"]) -> int:
    """Print the completion script of a shell, to be loaded by `source <(dxflow-async completion bash)`.

    Args:
        shell: The shell.
    """
    from dxflow_async.cli.app import make_app

    write_line(make_app().generate_completion(prog_name="dxflow-async", shell=shell))
    return 0
