"""Answers that say no more than "done": status 204, and nothing of the service's own.

A proxy, a portal or a firewall may give them in the service's place. An endpoint that ever marks such answers with its
own headers always does, so one without them is confirmed by a look. Of an endpoint that never does, one look is enough.
"""

from __future__ import annotations

__all__ = ["BareSuccess"]


class BareSuccess:
    """What is known of the successes without a body that one endpoint sends."""

    def __init__(self) -> None:
        self._marks = False
        self._confirmed = False

    def believes(self, marked: bool) -> bool:
        """Returns whether such an answer needs no look.

        Args:
            marked: it has a header that only the service sends.
        """
        self._marks = self._marks or marked
        return marked or (self._confirmed and not self._marks)

    def confirm(self) -> None:
        """Records that a look agreed with an answer that was not believed."""
        self._confirmed = True
