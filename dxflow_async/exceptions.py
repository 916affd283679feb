"""Every error that this library raises, in one tree.

    DxflowError
    ├─ ConfigurationError(ValueError)        a wrong setting, raised before any I/O
    │  └─ JobNotFoundError(LookupError)      there is no such job
    ├─ AuthenticationError(PermissionError)  a wrong e-mail address, password or secret
    ├─ SessionClosedError(RuntimeError)      a session was used after it was closed, or in a forked process
    │  └─ SessionLoopError                   a session was used in another event loop than its own
    ├─ JobBusyError(BlockingIOError)         another process works on the job: `.pid`
    ├─ ExecutorError(RuntimeError)           the workers of a call cannot go on: `.job_id`
    ├─ ComputeUnitError
    │  └─ UnitNotFoundError(LookupError)
    └─ StorageError                          one storage operation failed
       ├─ NotFoundError(FileNotFoundError)
       ├─ AlreadyExistsError(FileExistsError)
       ├─ PreconditionFailedError            the object changed in the meantime
       ├─ AccessDeniedError(PermissionError)
       ├─ UnsupportedError                   the provider's Features do not include it
       ├─ ThrottledError                     429, 503 SlowDown
       ├─ ServiceError                       other 5xx
       ├─ NetworkError(ConnectionError)
       ├─ StallTimeoutError(TimeoutError)    no byte moved for the stall timeout
       ├─ ChecksumMismatchError
       ├─ SourceChangedError
       ├─ UnsafePathError(ValueError)        a name that must not become a path
       └─ TransferError                      a call of many items: `.report` has every result
          └─ TransferTimeoutError(TimeoutError)   a call took longer than its `timeout`

Retries depend on `StorageError.retryable`. Above the providers, no foreign exceptions occur.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dxflow_async.security.redaction import printable, redacted

if TYPE_CHECKING:
    from dxflow_async.models import TransferReport

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "AuthenticationError",
    "ChecksumMismatchError",
    "ComputeUnitError",
    "ConfigurationError",
    "DxflowError",
    "ExecutorError",
    "JobBusyError",
    "JobNotFoundError",
    "NetworkError",
    "NotFoundError",
    "PreconditionFailedError",
    "ServiceError",
    "SessionClosedError",
    "SessionLoopError",
    "SourceChangedError",
    "StallTimeoutError",
    "StorageError",
    "ThrottledError",
    "TransferError",
    "TransferTimeoutError",
    "UnitNotFoundError",
    "UnsafePathError",
    "UnsupportedError",
]


class DxflowError(Exception):
    """The root of the tree: `except DxflowError` catches every error of this library.

    Messages are safe to display: text from names and servers is escaped, so that it cannot control a terminal, and URLs
    are shown without signatures.
    """

    def __str__(self) -> str:
        # Subclasses of OSError would otherwise format errno and strerror.
        return redacted(printable(str(self.args[0]))) if self.args else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class ConfigurationError(DxflowError, ValueError):
    """A setting is wrong; the message names it, its value and what is allowed."""


class JobNotFoundError(ConfigurationError, LookupError):
    """There is no job with that id; the message says how to list the jobs."""


class AuthenticationError(DxflowError, PermissionError):
    """The hub refused an e-mail address, a password or a secret."""


class SessionClosedError(DxflowError, RuntimeError):
    """A session, or one of its managers, was used after it was closed, or in a process forked from its own."""


class SessionLoopError(SessionClosedError):
    """A session, or something obtained from it, was used in another event loop than the one that it belongs to.

    A session belongs to the event loop of its first call. `asyncio.run` makes a new loop each time.
    """


class JobBusyError(DxflowError, BlockingIOError):
    """Another process works on the job.

    Attributes:
        pid: that process.
    """

    def __init__(self, message: str, *, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class ExecutorError(DxflowError, RuntimeError):
    """The workers that a call runs on cannot go on: they ended, hang, or cannot be reached.

    Attributes:
        job_id: the argument for `AsyncSession.resume`, which does what is left; None if no job was recorded.
    """

    job_id: str | None = None


class ComputeUnitError(DxflowError):
    """An operation on a compute unit failed."""


class UnitNotFoundError(ComputeUnitError, LookupError):
    """No compute unit matches; the message names the existing units."""


class StorageError(DxflowError):
    """One storage operation failed.

    Attributes:
        provider: the name of the provider, such as `"AWS"`.
        operation: `"read"`, `"write"`, `"list"`, ...
        path: the path of the operation.
        status: the HTTP status, if there was a response.
        code: the provider's error code, such as `"NoSuchBucket"`.
        request_id: the provider's identifier of the request, which its support asks for.
        retryable: whether the same call may succeed later.
        retry_after: the seconds that the provider asks to wait.
        progressed: the failed attempt moved the call forward: bytes were stored, or the next attempt differs from this
            one. The first 100 such attempts in a row do not count towards `max_attempts`.
        max_attempts: the most attempts that are made, where fewer than usual are worthwhile.
        refused_by: the host and port that refused the connection.
    """

    default_retryable = False
    progressed = False
    refused_by: str | None = None

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        operation: str = "",
        path: str = "",
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        max_attempts: int | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.operation = operation
        self.path = path
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retryable = self.default_retryable if retryable is None else retryable
        self.retry_after = retry_after
        self.max_attempts = max_attempts

    def fields(self) -> dict[str, str | int]:
        """Returns the attributes above that are known, for a structured log."""
        names = ("provider", "operation", "path", "status", "code", "request_id")
        return {name: value for name in names if (value := getattr(self, name))}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args[0], dict(self.__dict__))


def _rebuild(cls: type[StorageError], message: str, state: dict[str, Any]) -> StorageError:
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class NotFoundError(StorageError, FileNotFoundError):
    """The object, bucket or directory does not exist."""


class AlreadyExistsError(StorageError, FileExistsError):
    """Something of that name already exists."""


class PreconditionFailedError(StorageError):
    """The object is not the requested version."""


class AccessDeniedError(StorageError, PermissionError):
    """The credentials do not permit the operation."""


class UnsupportedError(StorageError):
    """The provider does not support the operation."""


class ThrottledError(StorageError):
    """The provider asks for fewer requests."""

    default_retryable = True


class ServiceError(StorageError):
    """The provider failed on its side."""

    default_retryable = True


class NetworkError(StorageError, ConnectionError):
    """The connection failed or broke."""

    default_retryable = True


class StallTimeoutError(StorageError, TimeoutError):
    """No byte moved for the stall timeout."""

    default_retryable = True


class ChecksumMismatchError(StorageError):
    """The bytes that arrived differ from those that were sent."""

    default_retryable = True


class SourceChangedError(StorageError):
    """The source changed while it was read."""


class UnsafePathError(StorageError, ValueError):
    """A name must not be turned into a path or a key."""


class TransferError(StorageError):
    """Some items of a transfer failed; `report` has the result of every item."""

    def __init__(self, message: str, *, report: TransferReport, **context: Any) -> None:
        super().__init__(message, **context)
        self.report = report


class TransferTimeoutError(TransferError, TimeoutError):
    """A call took longer than its `timeout`; `report` has the items that had ended, and the job that continues it."""
