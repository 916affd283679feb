"""Accounts and credentials of Azure that refuse everything: each code has advice of its own, at every verb."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from dxflow_async import AsyncSession
from dxflow_async.exceptions import AccessDeniedError, StorageError, TransferError, UnsupportedError
from tests.dialects.azure_server import AzureServer
from tests.dialects.azure_session import open_session

VERBS = ("PUT", "PUT block", "PUT blocklist", "GET", "GET list", "HEAD", "DELETE", "POST batch")

# Source: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes and blob-service-error-codes
REFUSALS = [
    (403, "AccountIsDisabled", AccessDeniedError, "enable the account"),
    (403, "InsufficientAccountPermissions", AccessDeniedError, "lack the right"),
    (403, "AuthorizationPermissionMismatch", AccessDeniedError, "lack the right"),
    (403, "AuthorizationFailure", AccessDeniedError, "firewall"),
    (403, "AuthorizationProtocolMismatch", AccessDeniedError, "https://"),
    (400, "AccountRequiresHttps", AccessDeniedError, "https://"),
    (403, "AuthorizationSourceIPMismatch", AccessDeniedError, "this machine's address"),
    (403, "AuthorizationServiceMismatch", AccessDeniedError, "services"),
    (403, "AuthorizationResourceTypeMismatch", AccessDeniedError, "sas_token"),
    (403, "KeyBasedAuthenticationNotPermitted", AccessDeniedError, "azure-identity"),
    (401, "NoAuthenticationInformation", AccessDeniedError, "account_key"),
    (409, "PublicAccessNotPermitted", UnsupportedError, "no public access"),
    (402, "PaymentRequired", AccessDeniedError, "paid"),
]


@pytest.fixture
async def server() -> AsyncIterator[AzureServer]:
    """A server with two blobs."""
    async with AzureServer() as server:
        server.put("dir/x", b"x")
        server.put("dir/y", b"y")
        yield server


@pytest.fixture
async def session(server: AzureServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with it."""
    async with open_session(server, tmp_path / "home") as session:
        yield session


async def _error(call: Callable[[], Awaitable[object]]) -> StorageError:
    """Returns the error of a call: its own, or that of the first item that failed."""
    with pytest.raises(StorageError) as caught:
        await call()
    error = caught.value
    if isinstance(error, TransferError):
        found = error.report.failed[0].error
        assert isinstance(found, StorageError)
        return found
    return error


@pytest.mark.parametrize(("status", "code", "cls", "words"), REFUSALS, ids=[code for _, code, *_ in REFUSALS])
async def test_every_verb(
    server: AzureServer, session: AsyncSession, tmp_path: Path, status: int, code: str, cls: type, words: str
) -> None:
    """Reads, writes, listings and deletions fail with the class and the advice of the code; nothing is tried twice."""
    (tmp_path / "tree").mkdir()
    for path in (tmp_path / "new", tmp_path / "tree" / "new"):
        path.write_bytes(b"new")
    storage = session.get_storage_manager()
    server.quirks.refusals = {verb: (status, code, {}) for verb in VERBS}
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "read": partial(session.copy, "azure:/container/dir/x", str(tmp_path / "here")),
        "write": partial(session.copy, str(tmp_path / "new"), "azure:/container/dir/x"),
        "list": partial(storage.list, "AZURE", "/container/dir/"),
        "stat": partial(storage.stat, "/container/dir/x", "AZURE"),
        "delete": partial(storage.delete, "/container/dir/x", "AZURE"),
        "delete all": partial(storage.delete, "/container/dir/", "AZURE"),
        "move": partial(session.move, "azure:/container/dir/y", str(tmp_path / "moved")),
        "sync": partial(session.sync, f"{tmp_path}/tree/", "azure:/container/dir/", delete=True),
    }
    for verb, call in calls.items():
        since = len(server.requests)
        error = await _error(call)
        assert isinstance(error, cls), verb
        if error.code is not None:  # the refusal of a HEAD has no body, and its code is in a header
            assert error.code == code, verb
        assert words in str(error), verb
        assert len(server.requests) - since <= 2, verb
    assert server.files == {"dir/x": b"x", "dir/y": b"y"}
    assert not (tmp_path / "here").exists()
    assert not (tmp_path / "moved").exists()


async def test_overwriting_is_refused(server: AzureServer, session: AsyncSession, tmp_path: Path) -> None:
    """Credentials that may only make new blobs replace none, and the error says so."""
    (tmp_path / "new").write_bytes(b"new")
    server.quirks.refusals = {"PUT": (403, "UnauthorizedBlobOverwrite", {})}
    error = await _error(partial(session.copy, str(tmp_path / "new"), "azure:/container/dir/x"))
    assert isinstance(error, AccessDeniedError)
    assert "not replace" in str(error)
    assert server.files["dir/x"] == b"x"
