"""Files that must not replace others: whether the unit's server itself checks that.

A server that announces `absent` gives such a file its name only if nothing has it. Each answer about it repeats the
condition. An answer that does not shows that the server, or something in front of it, drops the condition. From then on
the name is looked up first instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dxflow_async.providers.contract import ObjectOptions

__all__ = ["Creation"]


class Creation:
    """What is known of the condition, for one provider.

    Args:
        announced: whether the server announces it.
        on_ignored: called when an answer shows that it is ignored.

    Attributes:
        announced: whether it is sent.
        confirmed: whether an answer has confirmed it; nobody needs to look first then.
    """

    def __init__(self, *, announced: bool, on_ignored: Callable[[], None] = lambda: None) -> None:
        self.announced = announced
        self.confirmed = False
        self._on_ignored = on_ignored

    def wanted(self, options: ObjectOptions) -> bool:
        """Returns whether the server is asked to create a new file."""
        return options.if_absent and self.announced

    def decided_there(self, options: ObjectOptions) -> bool:
        """Returns whether the server is known to check the condition of a write."""
        return options.if_absent and self.announced and self.confirmed

    def note(self, metadata: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """Notes the answer to a request that created a file, which had these metadata."""
        if "absent" in metadata:
            self.answered(kept=headers.get("dx-absent", "").strip().lower() == "true")

    def answered(self, *, kept: bool) -> None:
        """Notes whether an answer confirms the condition."""
        self.confirmed = kept
        if not kept and self.announced:
            self.announced = False
            self._on_ignored()
