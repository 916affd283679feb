"""The command `completion`."""

from __future__ import annotations

from typing import Literal

from dxflow_async.cli.json_lines import say
from dxflow_async.cli.run import Flag

__all__ = ["completion"]

_SHORT_NAME = {
    "bash": "complete -F _dxflow_async dxa\n",
    # The script only defines a function; zsh uses it where it lies in $fpath, or is told here.
    "zsh": "(( $+functions[compdef] )) && compdef _cyclopts_dxflow-async dxflow-async dxa\n",
    "fish": "complete -c dxa -w dxflow-async\n",
}
"""Completes the short name of the program, too."""


def completion(shell: Literal["bash", "zsh", "fish"], *, json: Flag = False) -> int:
    """Print the completion script of a shell, to be loaded by `source <(dxflow-async completion bash)`.

    Args:
        shell: The shell.
        json: Print a JSON object.
    """
    from dxflow_async.cli.app import make_app

    script = make_app().generate_completion(prog_name="dxflow-async", shell=shell)
    say(f"{script.rstrip()}\n{_SHORT_NAME[shell]}".rstrip(), json=json)
    return 0
