"""How a bulk call runs: where, for how long at most, and what a cancelled call keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, Unpack, get_args

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.transfer.executor.options import ExecutorOptions, Workers

__all__ = ["CallOptions", "OnCancel", "RunOptions"]

OnCancel = Literal["discard", "keep"]
"""What becomes of the finished parts of large items when a call is cancelled."""


class CallOptions(ExecutorOptions, total=False):
    """How a bulk call runs, with the options of `ExecutorOptions`.

    Attributes:
        timeout: the most seconds that the call may take; by default there is no limit. A call that takes longer is
            cancelled and raises `TransferTimeoutError`, whose `report` has the items that ended.
        on_cancel: what becomes of the finished parts of large items when the call is cancelled, also by `timeout`.
            `"discard"` (the default) removes them. `"keep"` leaves them, as a killed process does: `resume` continues
            with them, and `clean_jobs` removes them. Without the setting `journal`, nothing is kept.
    """

    timeout: float | None
    on_cancel: OnCancel


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a bulk call runs.

    Attributes:
        workers: where it runs; None: in this process.
        timeout: the most seconds that it may take; None: there is no limit.
        on_cancel: what becomes of finished parts when it is cancelled.
    """

    workers: Workers | None = None
    timeout: float | None = None
    on_cancel: OnCancel = "discard"

    @classmethod
    def of(
        cls, timeout: float | None = None, on_cancel: OnCancel = "discard", **where: Unpack[ExecutorOptions]
    ) -> Self:
        """Returns how a call with these options runs.

        Raises:
            ConfigurationError: the options contradict each other, or one is not valid.
        """
        if timeout is not None and not timeout > 0:
            raise ConfigurationError(f"timeout = {timeout!r} is not allowed; it must be a positive number of seconds")
        if on_cancel not in get_args(OnCancel):
            raise ConfigurationError(f"on_cancel = {on_cancel!r} is not allowed; it must be discard or keep")
        return cls(Workers.of(**where), timeout, on_cancel)
