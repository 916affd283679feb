"""Whether new processes can import the main module of this program, as `multiprocessing` has them do."""

from __future__ import annotations

import os
import sys
from multiprocessing import process

from dxflow_async.exceptions import ConfigurationError

__all__ = ["PROTECT", "check_main_module"]

PROTECT = 'protect the beginning of the program with if __name__ == "__main__":'
"""What to do when processes end as they start."""


def check_main_module() -> None:
    """Checks that new processes can import the main module.

    Raises:
        ConfigurationError: this process is a new one that still imports it; or the module is no file, since it was read
            from standard input.
    """
    if getattr(process.current_process(), "_inheriting", False):  # how multiprocessing knows it
        raise ConfigurationError(
            "processes= is not allowed while a worker process starts: it imports the program, which makes the call "
            f"again; {PROTECT}"
        )
    main = sys.modules.get("__main__")
    name, path = getattr(getattr(main, "__spec__", None), "name", None), getattr(main, "__file__", None)
    if (
        name is None
        and path is not None
        and not os.path.isfile(os.path.join(getattr(process, "ORIGINAL_DIR", None) or "", path))
    ):
        raise ConfigurationError(
            f"processes= is not allowed in a program that is read from {path}, because new processes import it: save "
            "it as a file"
        )
