"""What can go wrong with an SSH server, as our errors.

A status of SFTP says little: version 3 has nine of them, and OpenSSH answers `FAILURE` to whatever is not among them,
such as a full disk or a directory that is not empty. Servers that give a reason in words are understood by it; where
there is none, the caller looks at what is there (`files.py`, `directories.py`).

Sources: https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-13#section-9.1 (statuses),
https://asyncssh.readthedocs.io/en/latest/api.html#exceptions
"""

from __future__ import annotations

import re

from dxflow_async.providers import (
    AccessDeniedError,
    AlreadyExistsError,
    Call,
    NetworkError,
    NotFoundError,
    ServiceError,
    StallTimeoutError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)

__all__ = ["FULL", "error_of", "is_failure", "is_refusal", "status_of"]

FULL = "the disk of the server is full; make room"
_BROKEN = "the connection to the server was lost"
_LOCKED = "another program has locked the file; try again"
_UNSUPPORTED = "the server does not support this operation"

_FAILURE = 4

_Row = tuple[type[StorageError], str]

# status: our error, and what to do about it.
_STATUSES: dict[int, _Row] = {
    1: (NetworkError, "the file ended too early; try again"),
    2: (NotFoundError, "it does not exist; check the path"),
    3: (AccessDeniedError, "permission denied; check its owner and mode on the server"),
    _FAILURE: (StorageError, "the server refused it; check the disk, the quota and the directory there"),
    5: (StorageError, "the server did not accept the request; the name may be too long or invalid there"),
    6: (NetworkError, _BROKEN),
    7: (NetworkError, _BROKEN),
    8: (UnsupportedError, _UNSUPPORTED),
    9: (NetworkError, "the server forgot the open file; try again"),
    10: (NotFoundError, "the directory does not exist; check the path"),
    11: (AlreadyExistsError, "something of that name exists; choose another name"),
    12: (AccessDeniedError, "the file system of the server is read-only"),
    13: (StorageError, "there is no medium in the drive of the server"),
    14: (StorageError, FULL),
    15: (StorageError, "the quota on the server is used up; make room"),
    16: (StorageError, "the server does not know that owner"),
    17: (ServiceError, _LOCKED),
    18: (AlreadyExistsError, "the directory is not empty"),
    19: (NotFoundError, "a part of the path is a file, not a directory; check the path"),
    20: (UnsafePathError, "the server does not accept the name; choose another one"),
    21: (UnsafePathError, "it is a symbolic link into a loop; remove the link"),
    22: (AccessDeniedError, "it cannot be deleted; check its owner and mode on the server"),
    23: (StorageError, "the server did not accept the request"),
    24: (AlreadyExistsError, "a directory has that name; choose another name"),
    25: (ServiceError, _LOCKED),
    26: (ServiceError, _LOCKED),
    27: (NotFoundError, "the file is being deleted on the server"),
    28: (StorageError, "the file is damaged on the server"),
    29: (StorageError, "the server does not accept that owner"),
    30: (StorageError, "the server does not accept that group"),
    31: (StorageError, "the server does not know that lock"),
}

# What a `FAILURE` says in words, in lower case: our error, and what to do about it. The first row that fits.
_REASONS: tuple[tuple[str, _Row], ...] = (
    ("no such file", _STATUSES[2]),
    ("not exist", _STATUSES[2]),
    ("no space left", _STATUSES[14]),
    ("quota", _STATUSES[15]),
    ("not empty", _STATUSES[18]),
    ("exist", _STATUSES[11]),
    ("is a directory", _STATUSES[24]),
    ("not a directory", _STATUSES[19]),
    ("read-only", _STATUSES[12]),
    ("name too long", (UnsafePathError, "the name is too long for the server; choose a shorter one")),
    ("invalid argument", _STATUSES[20]),
    ("symbolic link", _STATUSES[21]),
    ("too large", (StorageError, "the file system of the server does not take files of that size")),
    ("too many open files", (ServiceError, "the server has too many open files; try again")),
)

# asyncssh's errors by name, so that it need not be loaded: our error, what to do, and whether waiting helps.
_ERRORS: dict[str, tuple[type[StorageError], str, bool]] = {
    "HostKeyNotVerifiable": (NetworkError, "the server's host key is not verified ({error})", False),
    "PermissionDenied": (
        AccessDeniedError,
        "the server refused every way to sign in; check username, key_files, password and the SSH agent",
        False,
    ),
    "IllegalUserName": (AccessDeniedError, "the server does not accept the user name; check username", False),
    "ConnectionLost": (NetworkError, _BROKEN, True),
    "ServiceNotAvailable": (NetworkError, "the server does not offer SFTP here ({error})", False),
    "KeyExchangeFailed": (NetworkError, "no common encryption with the server ({error})", False),
    "ProtocolNotSupported": (NetworkError, "the server speaks another version of SSH ({error})", False),
    "ProtocolError": (NetworkError, "the server does not keep to the SSH protocol ({error})", True),
    "MACError": (NetworkError, "the encrypted connection was damaged ({error})", True),
    "CompressionError": (NetworkError, "the encrypted connection was damaged ({error})", True),
    "DisconnectError": (NetworkError, "the server ended the connection ({error})", True),
    "ChannelOpenError": (NetworkError, "the server refused an SFTP channel ({error})", True),
    "TimeoutError": (StallTimeoutError, "{host} did not answer in time; check host and the network", True),
    "gaierror": (NetworkError, "could not find the host {name}; check host", False),
    "ConnectionRefusedError": (NetworkError, "{host} refused the connection; check host and port", True),
    "ConnectionError": (NetworkError, _BROKEN, True),
    "OSError": (NetworkError, "could not connect to {host} ({error}); check host and the network", True),
    "Error": (NetworkError, "the connection failed ({error})", True),
    "ValueError": (NetworkError, "the file was closed with its connection; try again", True),
}


def error_of(call: Call, error: BaseException, host: str = "the server") -> StorageError:
    """Returns our error for one of asyncssh, or of the system below it.

    Args:
        call: the storage call.
        error: the foreign error.
        host: the host, with its port if one is set, where it may not be reached.

    Raises:
        TypeError: there is no row for it.
    """
    status = status_of(error)
    if status is not None:
        return _of_status(call, status, str(getattr(error, "reason", "")))
    for cls in type(error).__mro__:
        row = _ERRORS.get(cls.__name__)
        if row is not None:
            ours, text, retryable = row
            said = text.format(error=_reason(error), host=host, name=re.sub(r":\d+$", "", host))
            return call.error(ours, said, code=type(error).__name__, retryable=retryable)
    raise TypeError(f"no row for {type(error).__name__}") from error


def status_of(error: BaseException) -> int | None:
    """Returns the SFTP status that an error stands for; None for any other error."""
    is_status = any(cls.__name__ == "SFTPError" for cls in type(error).__mro__)
    return int(getattr(error, "code", _FAILURE)) if is_status else None


def is_failure(error: StorageError) -> bool:
    """Returns whether an error is a `FAILURE` without a known reason, so that looking tells more."""
    return error.code == "FX_4" and type(error) is StorageError


def is_refusal(error: StorageError) -> bool:
    """Returns whether an error may mean that the server does not take an optional part of a request."""
    return is_failure(error) or isinstance(error, UnsupportedError)


def _of_status(call: Call, status: int, reason: str) -> StorageError:
    row = _STATUSES.get(status, (StorageError, f"the server answered with status {status}"))
    said = reason.lower()
    if status == _FAILURE:
        row = next((row for words, row in _REASONS if words in said), row)
    cls, advice = row
    code = f"FX_{status}" if row is _STATUSES.get(status) else f"FX_{status} {reason:.60}"
    quoted = f" ({reason.strip():.200})" if reason.strip() else ""
    return call.error(cls, f"{advice}{quoted}", code=code)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__)[:300]
