"""Every error this library raises, in one tree.

    DxflowError
    ├─ ConfigurationError(ValueError)        a wrong setting, found before any I/O
    ├─ AuthenticationError(PermissionError)  a wrong e-mail, password or secret
    ├─ SessionClosedError(RuntimeError)      a session used after it was closed
    ├─ JobBusyError(BlockingIOError)         another process works on that job: `.pid`
    ├─ ComputeUnitError
    │  └─ UnitNotFoundError(LookupError)
    └─ StorageError                          one thing in storage failed
       ├─ NotFoundError(FileNotFoundError)
       ├─ AlreadyExistsError(FileExistsError)
       ├─ PreconditionFailedError            changed under us
       ├─ AccessDeniedError(PermissionError)
       ├─ UnsupportedError                   this provider's Features say no
       ├─ ThrottledError                     429, 503 SlowDown
       ├─ ServiceError                       other 5xx
       ├─ NetworkError(ConnectionError)
       ├─ StallTimeoutError(TimeoutError)    no byte moved for the stall timeout
       ├─ ChecksumMismatchError
       ├─ SourceChangedError
       ├─ UnsafePathError(ValueError)        a name that must not become a path
       └─ TransferError                      a job of many: `.report` has every item

Retrying asks `StorageError.retryable`; nothing above the providers sees a foreign exception.
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
    "JobBusyError",
    "NetworkError",
    "NotFoundError",
    "PreconditionFailedError",
    "ServiceError",
    "SessionClosedError",
    "SourceChangedError",
    "StallTimeoutError",
    "StorageError",
    "ThrottledError",
    "TransferError",
    "UnitNotFoundError",
    "UnsafePathError",
    "UnsupportedError",
]


class DxflowError(Exception):
    """The root: `except DxflowError` catches whatever this library raises.

    What it says may be shown anywhere: what names and servers put into it cannot command a terminal, and URLs in it
    show no signature.
    """

    def __str__(self) -> str:
        # Classes that also inherit OSError would otherwise format errno and strerror.
        return redacted(printable(str(self.args[0]))) if self.args else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class ConfigurationError(DxflowError, ValueError):
    """A setting is wrong; the message names it, its value and what is allowed."""


class AuthenticationError(DxflowError, PermissionError):
    """The hub did not accept an e-mail, a password or a secret."""


class SessionClosedError(DxflowError, RuntimeError):
    """A session, or a manager of it, was used after it was closed."""


class JobBusyError(DxflowError, BlockingIOError):
    """Another process works on a job.

    Attributes:
        pid: that process.
    """

    def __init__(self, message: str, *, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class ComputeUnitError(DxflowError):
    """Something about a compute unit failed."""


class UnitNotFoundError(ComputeUnitError, LookupError):
    """No compute unit fits; the message names the units there are."""


class StorageError(DxflowError):
    """One operation in storage failed.

    Attributes:
        provider: the provider's name, such as `"AWS"`.
        operation: what was tried: `"read"`, `"write"`, `"list"`, ...
        path: what it was tried on.
        status: the HTTP status, where there was one.
        code: the provider's own word, such as `"NoSuchBucket"`.
        request_id: what the provider's support asks for.
        retryable: whether the same call may succeed later.
        retry_after: the seconds the provider asked to wait.
    """

    default_retryable = False

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

    def fields(self) -> dict[str, str | int]:
        """What a structured log has of it: of the attributes above those that are known."""
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
    """There is no such object, bucket or directory."""


class AlreadyExistsError(StorageError, FileExistsError):
    """Something of that name is there already."""


class PreconditionFailedError(StorageError):
    """The object is not the version that was asked for."""


class AccessDeniedError(StorageError, PermissionError):
    """The credentials do not allow the operation."""


class UnsupportedError(StorageError):
    """This provider cannot do that."""


class ThrottledError(StorageError):
    """The provider asked to slow down."""

    default_retryable = True


class ServiceError(StorageError):
    """The provider failed on its own side."""

    default_retryable = True


class NetworkError(StorageError, ConnectionError):
    """The connection could not be made or broke."""

    default_retryable = True


class StallTimeoutError(StorageError, TimeoutError):
    """No byte moved for the stall timeout."""

    default_retryable = True


class ChecksumMismatchError(StorageError):
    """The bytes that arrived are not the bytes that were sent."""

    default_retryable = True


class SourceChangedError(StorageError):
    """The source changed while it was being read."""


class UnsafePathError(StorageError, ValueError):
    """A name that must not be turned into a path or a key."""


class TransferError(StorageError):
    """Some items of a transfer failed; `report` has the result of every item."""

    def __init__(self, message: str, *, report: TransferReport, **context: Any) -> None:
        super().__init__(message, **context)
        self.report = report
