from __future__ import annotations

import inspect

import asyncssh
import pytest
from asyncssh import constants

from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    NetworkError,
    NotFoundError,
    StorageError,
    UnsafePathError,
)
from dxflow_async.providers.http import Call
from dxflow_async.providers.sftp.errors import _ERRORS, _STATUSES, error_of, is_failure

CALL = Call("SFTP", "write", "/dir/name")


def test_every_status_has_a_row() -> None:
    """Each status of SFTP, versions 3 to 6, is one of our errors; a new one of asyncssh's fails here."""
    ends = ("FX_V3_END", "FX_V4_END", "FX_V5_END", "FX_V6_END")
    known = {value for name, value in vars(constants).items() if name.startswith("FX_") and name not in ends}
    assert set(_STATUSES) == {value for value in known if isinstance(value, int)} - {constants.FX_OK}


def test_every_error_of_asyncssh_has_a_row() -> None:
    """Each class of errors that a connection may raise has a row of its own, or that of SFTP's statuses."""
    found = {
        name: each
        for name, each in vars(asyncssh).items()
        if inspect.isclass(each)
        and issubclass(each, asyncssh.Error)
        # Those of SFTP have their status; no programs are run.
        and not issubclass(each, asyncssh.SFTPError | asyncssh.ProcessError)
    }
    assert len(found) > 10
    assert {name for name in found if name not in _ERRORS} == set()


def test_unknown_errors_are_bugs() -> None:
    """What has no row is not hidden as a storage error."""
    with pytest.raises(TypeError, match="no row for KeyError"):
        error_of(CALL, KeyError("x"))


@pytest.mark.parametrize(
    ("error", "cls", "text"),
    [
        (asyncssh.SFTPNoSuchFile("No such file"), NotFoundError, "does not exist"),
        (asyncssh.SFTPPermissionDenied("Permission denied"), AccessDeniedError, "permission denied"),
        (asyncssh.SFTPFailure("No space left on device"), StorageError, "the disk of the server is full"),
        (asyncssh.SFTPFailure("Disk quota exceeded"), StorageError, "quota on the server is used up"),
        (asyncssh.SFTPFailure("File exists"), AlreadyExistsError, "of that name exists"),
        (asyncssh.SFTPFailure("Directory not empty"), AlreadyExistsError, "not empty"),
        (asyncssh.SFTPFailure("path does not exist"), NotFoundError, "does not exist"),
        (asyncssh.SFTPFailure("Read-only file system"), AccessDeniedError, "read-only"),
        (asyncssh.SFTPFailure("File name too long"), UnsafePathError, "too long"),
        (asyncssh.SFTPFailure("Failure"), StorageError, "check the disk, the quota"),
        (asyncssh.SFTPNoConnection("x"), NetworkError, "connection to the server was lost"),
        (asyncssh.SFTPError(99, "something new"), StorageError, "status 99 (something new)"),
        (asyncssh.ConnectionLost("x"), NetworkError, "connection to the server was lost"),
        (asyncssh.DisconnectError(2, "bye\x1b[31m"), NetworkError, "ended the connection (bye\\x1b[31m)"),
        (ConnectionResetError(104, "reset"), NetworkError, "connection to the server was lost"),
        (OSError(113, "No route to host"), NetworkError, "No route to host"),
    ],
)
def test_errors(error: Exception, cls: type[StorageError], text: str) -> None:
    """An error says what failed and what to do, in our words and the server's."""
    ours = error_of(CALL, error)
    assert type(ours) is cls
    assert text in str(ours)
    assert "SFTP write of /dir/name failed" in str(ours)


def test_failures_without_a_reason_are_looked_into() -> None:
    """OpenSSH says `Failure` to anything: only that makes the provider look at what is there."""
    assert is_failure(error_of(CALL, asyncssh.SFTPFailure("Failure")))
    assert is_failure(error_of(CALL, asyncssh.SFTPFailure("")))
    assert not is_failure(error_of(CALL, asyncssh.SFTPFailure("No space left on device")))
    assert not is_failure(error_of(CALL, asyncssh.SFTPNoSuchFile("x")))
