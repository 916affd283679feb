"""The command `completion`."""

from __future__ import annotations

from typing import Literal

from dxflow_async.cli.json_lines import say
from dxflow_async.cli.run import Flag

__all__ = ["completion"]


def completion(shell: Literal["bash", "zsh", "fish"], *, json: Flag = False) -> int:
    """Print the completion script of a shell, to be loaded by `source <(dxflow-async completion bash)`.

    Args:
        shell: The shell.
        json: Print a JSON object.
    """
    from dxflow_async.cli.app import make_app

    say(make_app().generate_completion(prog_name="dxflow-async", shell=shell), json=json)
    return 0
