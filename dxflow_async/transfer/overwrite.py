"""What a call does with objects that exist at its destination."""

from __future__ import annotations

from typing import Literal, get_args

from dxflow_async.exceptions import ConfigurationError

__all__ = ["Overwrite", "check_overwrite"]

Overwrite = bool | Literal["skip", "if-newer", "if-different"]
"""What happens to an object that is there already.

`True`: it is replaced. `False`: the item fails with `AlreadyExistsError`. `"skip"`: the item is skipped.
`"if-newer"`: it is replaced if the source was changed later. `"if-different"`: it is replaced if size, checksum or time
differ.
"""

_WORDS = get_args(get_args(Overwrite)[1])


def check_overwrite(overwrite: Overwrite) -> None:
    """Checks the argument of a call.

    Raises:
        ConfigurationError: it is not allowed.
    """
    if not isinstance(overwrite, bool) and overwrite not in _WORDS:
        allowed = ", ".join(map(repr, _WORDS))
        raise ConfigurationError(f"overwrite = {overwrite!r} is not allowed; it must be True, False, {allowed}")
