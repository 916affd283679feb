"""Copies that the service refuses to make, though the source can be read: they go through this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, GCPSettings, Settings
from dxflow_async.exceptions import TransferError
from tests.dialects.azure_server import AzureServer
from tests.dialects.azure_session import open_session
from tests.dialects.google_server import GoogleServer
from tests.sessions import retry_soon

FACT = "made through this machine"


@pytest.fixture
async def azure() -> AsyncIterator[AzureServer]:
    """An account with some files; the second has a kind and metadata of its own."""
    async with AzureServer() as server:
        server.put("from/a", b"a")
        server.put("from/b", b"bb", run="7")
        server.content["from/b"].content_type = "text/x-special"
        yield server


@pytest.fixture
async def session(azure: AzureServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with it."""
    async with open_session(azure, tmp_path / "home") as session:
        yield session


@pytest.mark.parametrize("refusal", [(403, "AuthorizationFailure"), (404, "ResourceNotFound"), (409, "PublicAccess")])
@pytest.mark.parametrize("verb", ["copy", "move", "sync"])
async def test_azure(azure: AzureServer, session: AsyncSession, refusal: tuple[int, str], verb: str) -> None:
    """A source behind a firewall is read by this machine, with its kind and metadata; the refusal is remembered."""
    azure.quirks.no_copies = refusal
    for target in ("to", "again"):
        if verb == "move" and target == "again":
            break
        report = await getattr(session, verb)("azure:/container/from/", f"azure:/container/{target}/")
        assert not report.failed
        assert {name: data for name, data in azure.files.items() if name.startswith(target)} == {
            f"{target}/a": b"a",
            f"{target}/b": b"bb",
        }
        copied = azure.content[f"{target}/b"]
        assert (copied.content_type, copied.metadata["run"]) == ("text/x-special", "7")
    assert azure.copies <= 2
    assert ("from/a" in azure.files) is (verb != "move")
    facts = dict(await session.get_storage_manager().endpoint_facts("AZURE"))
    assert FACT in facts["copies from container to container"]


async def test_azure_copy_fails_later(azure: AzureServer, session: AsyncSession) -> None:
    """A copy that begins and then cannot read its source goes through this machine, too."""
    azure.quirks.failing_copies = '403 Forbidden "Copy failed when reading the source."'
    report = await session.copy("azure:/container/from/a", "azure:/container/to")
    assert not report.failed
    assert azure.files["to"] == b"a"


async def test_source_is_missing(azure: AzureServer, session: AsyncSession) -> None:
    """A source that this machine cannot read either is no refusal to copy."""
    azure.quirks.no_copies, azure.quirks.denied = (403, "AuthorizationFailure"), frozenset({"read"})
    with pytest.raises(TransferError, match="AuthorizationPermissionMismatch"):
        await session.copy("azure:/container/from/", "azure:/container/to/")
    assert not any("copies" in fact for fact, _ in await session.get_storage_manager().endpoint_facts("AZURE"))


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "vpcServiceControls"), (501, "notImplemented"), (404, ""), (405, "methodNotAllowed")]
)
async def test_google(tmp_path: Path, status: int, reason: str) -> None:
    """Google's perimeters, and servers without rewrites."""
    async with GoogleServer() as server:
        server.quirks.no_rewrites = status, reason
        server.put("from/a", b"a", contentType="text/x-special", metadata={"run": "7"})
        settings = GCPSettings(endpoint=server.url, service_file=server.service_file(tmp_path))
        async with AsyncSession(settings=Settings(home=tmp_path / "home", gcp=settings)) as session:
            retry_soon(session)
            for target in ("to", "again"):
                report = await session.copy("gcp:/bucket/from/", f"gcp:/bucket/{target}/")
                assert not report.failed
                copied = server.objects[f"{target}/a"]
                assert copied.data == b"a"
                assert copied.resource["contentType"] == "text/x-special"
                assert copied.resource["metadata"]["run"] == "7"
            facts = dict(await session.get_storage_manager().endpoint_facts("GCP"))
        assert FACT in facts["copies from bucket to bucket"]
        assert sum("rewriteTo" in path for _, path in server.seen) == 1


@pytest.mark.parametrize("protection", ["retained", "held", "rights"])
async def test_google_protects_the_target(tmp_path: Path, protection: str) -> None:
    """A target that may not be replaced is an error, and no reason to read the source."""
    async with GoogleServer() as server:
        server.put("a", b"a")
        server.put("b", b"b")
        if protection == "retained":
            server.quirks.retained = True
        elif protection == "held":
            server.quirks.held = frozenset({"b"})
        else:
            server.quirks.rights -= {"storage.objects.delete"}
        settings = GCPSettings(endpoint=server.url, service_file=server.service_file(tmp_path))
        async with AsyncSession(settings=Settings(home=tmp_path / "home", gcp=settings)) as session:
            retry_soon(session)
            with pytest.raises(TransferError):
                await session.copy("gcp:/bucket/a", "gcp:/bucket/b")
        assert server.objects["b"].data == b"b"
        assert not any(path.startswith("/bucket/") for _, path in server.seen)
