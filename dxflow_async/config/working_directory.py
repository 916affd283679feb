"""Relative paths, also in a process whose working directory was removed."""

from __future__ import annotations

import os

from dxflow_async.exceptions import ConfigurationError

__all__ = ["absolute_path", "known_working_directory", "working_directory"]


def working_directory() -> str:
    """Returns the working directory of this process.

    Raises:
        ConfigurationError: it was removed, or may not be read.
    """
    try:
        return os.getcwd()
    except OSError as error:
        raise ConfigurationError(
            f"the working directory of this process cannot be used ({error.strerror}), and relative paths start from "
            "it; change to another directory, or write absolute paths"
        ) from error


def known_working_directory() -> str:
    """Returns the working directory of this process; if it was removed, an empty text: only absolute paths work."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def absolute_path(path: str | os.PathLike[str]) -> str:
    """Returns an absolute path without `.` and `..` segments. Symbolic links are kept.

    Raises:
        ConfigurationError: the path is relative, and the working directory was removed.

    Example:
        >>> absolute_path("/data/../x")
        '/x'
    """
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        working_directory()  # says why
        raise
