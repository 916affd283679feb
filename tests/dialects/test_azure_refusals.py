"""What Azure refuses: clear errors at once, or another attempt where time helps; and answers of somebody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, AzureSettings, Settings
from dxflow_async.exceptions import AccessDeniedError, StorageError, TransferError, UnsupportedError
from tests.dialects.azure_server import AzureServer
from tests.sessions import retry_soon

MiB = 1 << 20
SIZE = 41 * MiB
"""Of a file that is sent in parts: more than eight of the smallest."""
VERBS = ("PUT", "PUT block", "PUT blocklist", "GET", "GET list", "HEAD", "DELETE", "POST batch")
PAGE = "<html><body>Please sign in</body></html>"


@pytest.fixture
async def server() -> AsyncIterator[AzureServer]:
    """A server with two files; one of them has the length of the page that a network answers with."""
    async with AzureServer() as server:
        server.put("dir/x", b"x" * len(PAGE))
        server.put("dir/y", b"y")
        yield server


@pytest.fixture
async def session(server: AzureServer, tmp_path: Path) -> AsyncIterator[AsyncSession]:
    """A session with it, with the smallest parts."""
    azure = AzureSettings(endpoint=server.url, account="account1", account_key="a2V5")
    async with AsyncSession(settings=Settings(home=tmp_path / "home", azure=azure, part_size=5 * MiB)) as session:
        retry_soon(session)
        yield session


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file that is sent whole."""
    (tmp_path / "small").write_bytes(b"new")
    return tmp_path / "small"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that is sent in parts."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(SIZE)
    return tmp_path / "large"


async def failure(report: object) -> StorageError:
    """Returns the error of the only item of a call that fails."""
    with pytest.raises(TransferError) as caught:
        await report  # type: ignore[misc]
    (item,) = caught.value.report
    assert item.error is not None
    return item.error


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (412, "LeaseIdMissing", "holds a lease"),
        (409, "BlobImmutableDueToPolicy", "immutability policy"),
    ],
)
async def test_protected(
    server: AzureServer, session: AsyncSession, small: Path, large: Path, status: int, code: str, words: str
) -> None:
    """A blob that is leased or protected is neither replaced, nor deleted, nor moved away; nothing is tried twice."""
    refusal: tuple[int, str, dict[str, str]] = (status, code, {})
    server.quirks.refusals = dict.fromkeys(("PUT", "PUT blocklist", "DELETE"), refusal)
    for source in (small, large):
        error = await failure(session.copy(str(source), "azure:/container/dir/x"))
        assert isinstance(error, AccessDeniedError)
        assert words in str(error)
    with pytest.raises(AccessDeniedError, match=words):
        await session.get_storage_manager().delete("/container/dir/x", "AZURE")
    assert words in str(await failure(session.move("azure:/container/dir/x", str(small.parent / "moved"))))
    asked = [verb for verb, _ in server.requests]
    assert [asked.count(verb) for verb in ("PUT", "PUT blocklist", "DELETE")] == [1, 1, 2]
    assert server.files["dir/x"] == b"x" * len(PAGE)


@pytest.mark.parametrize("code", ["BlobArchived", "BlobBeingRehydrated"])
async def test_archived(server: AzureServer, session: AsyncSession, tmp_path: Path, code: str) -> None:
    """An archived blob is read by nobody: one request, an error that says what to do, nothing at the destination."""
    server.quirks.refusals = {"GET": (409, code, {}), "PUT": (409, code, {})}
    for target in (str(tmp_path / "here"), "azure:/container/copy"):
        error = await failure(session.copy("azure:/container/dir/x", target))
        assert isinstance(error, UnsupportedError)
        assert "archive" in str(error)
    asked = [verb for verb, _ in server.requests]
    assert [asked.count(verb) for verb in ("GET", "PUT")] == [1, 1]
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("verb", "status", "code", "words"),
    [
        ("PUT block", 400, "InvalidBlobOrBlock", "another program's unfinished upload"),
        ("PUT block", 409, "BlockCountExceedsLimit", "part_size"),
        ("PUT block", 409, "UncommittedBlockCountExceedsLimit", "unfinished uploads"),
        ("PUT block", 409, "InvalidBlobType", "append or a page blob"),
        ("PUT blocklist", 400, "InvalidBlockList", "blocks are gone"),
        ("PUT blocklist", 400, "BlockListTooLong", "part_size"),
    ],
)
async def test_blocks(
    server: AzureServer, session: AsyncSession, large: Path, verb: str, status: int, code: str, words: str
) -> None:
    """The limits of blocks, and blocks of other writers, are errors that say what is in the way."""
    server.quirks.refusals = {verb: (status, code, {})}
    assert words in str(await failure(session.copy(str(large), "azure:/container/dir/x")))
    assert [asked for asked, _ in server.requests].count(verb) <= 9
    assert server.files["dir/x"] == b"x" * len(PAGE)


@pytest.mark.parametrize(
    "refusal",
    [
        (503, "ServerBusy", {"Retry-After": "0"}),
        (500, "OperationTimedOut", {}),
        (502, "", {"Retry-After": "0"}),
    ],
)
async def test_passing_failures(
    server: AzureServer,
    session: AsyncSession,
    small: Path,
    large: Path,
    tmp_path: Path,
    refusal: tuple[int, str, dict[str, str]],
) -> None:
    """What passes is tried again at every verb, whether the service says it or a balancer before it."""
    server.quirks.next_refusals = {verb: [refusal, refusal] for verb in VERBS}
    await session.copy(str(small), "azure:/container/dir/small")
    await session.copy(str(large), "azure:/container/dir/large")
    await session.copy("azure:/container/dir/", f"{tmp_path}/here/")
    assert (tmp_path / "here" / "small").read_bytes() == b"new"
    assert (tmp_path / "here" / "large").stat().st_size == SIZE
    storage = session.get_storage_manager()
    assert (await storage.stat("/container/dir/y", "AZURE")).size == 1
    await storage.delete("/container/dir/y", "AZURE")
    await storage.delete("/container/dir/", "AZURE")
    assert server.files == {}
    assert not any(server.quirks.next_refusals.values())


@pytest.mark.parametrize(
    "verb", ["PUT", "PUT block", "PUT blocklist", "GET", "GET list", "HEAD", "DELETE", "POST batch"]
)
async def test_pages_with_status_200(
    server: AzureServer, session: AsyncSession, small: Path, large: Path, tmp_path: Path, verb: str
) -> None:
    """A sign-in page in place of an answer is never success: nothing claims to be written, read, listed or deleted."""
    server.quirks.foreign = frozenset({verb})
    storage = session.get_storage_manager()

    async def succeeds(work: object) -> bool:
        try:
            await work  # type: ignore[misc]
        except StorageError:
            return False
        return True

    for source, name in ((small, "small"), *([(large, "large")] if "block" in verb else [])):
        if await succeeds(session.copy(str(source), f"azure:/container/new/{name}")):
            assert server.files[f"new/{name}"] == source.read_bytes()
    if await succeeds(session.copy("azure:/container/dir/x", str(tmp_path / "read"))):
        assert (tmp_path / "read").read_bytes() == server.files["dir/x"]
    else:
        assert not (tmp_path / "read").exists()
    if await succeeds(session.copy("azure:/container/dir/x", "azure:/container/dir/z")):
        assert server.files["dir/z"] == server.files["dir/x"]
    if await succeeds(session.move("azure:/container/dir/y", str(tmp_path / "moved"))):
        assert (tmp_path / "moved").read_bytes() == b"y"
        assert "dir/y" not in server.files
    else:
        assert server.files["dir/y"] == b"y"
    assert await succeeds(storage.list("AZURE", "/container/dir/")) is (verb != "GET list")
    assert await succeeds(storage.stat("/container/dir/x", "AZURE")) is (verb != "HEAD")
    if await succeeds(storage.delete("/container/dir/x", "AZURE")):
        assert "dir/x" not in server.files
    if await succeeds(storage.delete("/container/dir/", "AZURE")):
        assert not any(name.startswith("dir/") for name in server.files)


async def test_names_that_azure_changes(server: AzureServer, session: AsyncSession, tmp_path: Path) -> None:
    """Names that the service would change fail alone, before anything is sent for them."""
    for name in ("dot.", "back\\slash", "fine"):
        (tmp_path / "odd" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "odd" / name).write_bytes(b"1")
    with pytest.raises(TransferError) as caught:
        await session.copy(f"{tmp_path}/odd/", "azure:/container/odd/")
    assert len(caught.value.report.failed) == 2
    assert [name for name in server.files if name.startswith("odd/")] == ["odd/fine"]


async def test_long_names(server: AzureServer, session: AsyncSession, small: Path) -> None:
    """A name beyond the service's limits is an error that says them."""
    server.quirks.refusals = {"PUT": (400, "OutOfRangeInput", {})}
    error = await failure(session.copy(str(small), f"azure:/container/{'/'.join('d' * 255)}"))
    assert "1,024 characters in at most 254 segments" in str(error)
