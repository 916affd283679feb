"""Values that a worker unpickles only after it has compared versions.

A worker with another version of this package may not be able to read a shard. So a shard travels as bytes, beside the
version that wrote them. This module and `dxflow_async.storage.shard_worker.do_shard` keep their names and arguments.
"""

from __future__ import annotations

import pickle
from typing import Any, Self

from dxflow_async.exceptions import ExecutorError

__all__ = ["Sealed"]


class Sealed:
    """A pickled value. Its repr shows nothing of it, since executors log the arguments of a call that failed.

    Args:
        content: the pickled bytes.
    """

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    @classmethod
    def of(cls, value: Any) -> Self:
        """Returns a pickled value.

        Raises:
            ExecutorError: it cannot be pickled.
        """
        try:
            return cls(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
        except Exception as error:
            raise ExecutorError(
                f"the work cannot be sent to workers, because something in it cannot be pickled ({error}); make this "
                "call without workers"
            ) from error

    def opened(self) -> Any:
        """Returns the value."""
        return pickle.loads(self._content)  # noqa: S301 - the coordinator may run any function here anyway

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._content,)

    def __repr__(self) -> str:
        return f"<{len(self._content)} sealed bytes>"
