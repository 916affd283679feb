"""What a handle knows of the call that runs for it.

A handle sets a `RunningCall` in the context of the task that makes the call. The call finds it there, so that no
signature between the two has to name it.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from dxflow_async.models import TransferReport

__all__ = ["RunningCall", "running_call"]


@dataclass(slots=True, eq=False)
class RunningCall:
    """A call that runs for a handle.

    Attributes:
        pauses: the call is cancelled in order to be resumed by the same handle: finished parts are kept.
        job_id: the job that continues the call, once the call has ended without being finished.
        report: the items that have ended; None before the first item is transferred.
        planned: all items of the call are known.
        reports: those of all calls that ran, as far as they came; the last one is `report`.
    """

    pauses: bool = False
    job_id: str | None = None
    report: TransferReport | None = None
    planned: bool = False
    reports: list[TransferReport] = field(default_factory=list)


running_call: ContextVar[RunningCall | None] = ContextVar("running_call", default=None)
"""The call that runs in this context; None without a handle."""
