"""The provider at Azurite, beyond what every provider does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dxflow_async.checksum import crc32c, encode
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.settings import AzureSettings
from dxflow_async.exceptions import (
    AccessDeniedError,
    ChecksumMismatchError,
    ConfigurationError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.azure.provider import AzureProvider
from dxflow_async.providers.contract import Buffered, Entry, ObjectOptions, Part
from dxflow_async.providers.http import HTTP, Call
from tests.providers.connected_providers import ConnectAzure
from tests.providers.in_memory_bodies import body, first_failure, read
from tests.scripted_server import ScriptedServer, answer
from tests.servers import Azurite

OPTIONS = ObjectOptions()
MiB = 1 << 20


async def test_wrong_key(azurite: Azurite, connect_azure: ConnectAzure, container: str) -> None:
    """Another key is no access, and says which setting to look at, but not the key."""
    wrong = base64.b64encode(b"wrong" * 9).decode()
    azure = connect_azure(azurite.endpoint, account=azurite.account, account_key=wrong)
    for attempt in (
        lambda: azure.write(f"{container}/name", body(b"x"), OPTIONS),
        lambda: azure.read(f"{container}/name"),
        lambda: azure.list_page(f"{container}/", recursive=True),
        lambda: first_failure(azure, [f"{container}/{name}" for name in "ab"]),
    ):
        with pytest.raises(AccessDeniedError, match=r"AZURE\.account_key") as raised:
            await attempt()
        assert raised.value.status == 403
        assert wrong not in str(raised.value)


async def test_missing_container(azure: AzureProvider) -> None:
    """A container that does not exist is named, with what to do."""
    upload = await azure.start_upload("no-such-container/name", None, OPTIONS)
    for attempt in (
        lambda: azure.write("no-such-container/name", body(b"x"), OPTIONS),
        lambda: azure.list_page("no-such-container/", recursive=True),
        lambda: azure.read("no-such-container/name"),
        lambda: azure.stat("no-such-container/"),
        lambda: azure.delete_one("no-such-container/name"),
        lambda: first_failure(azure, ["no-such-container/a", "no-such-container/b"]),
        lambda: upload.write_part(Part(1, 0, 1), body(b"x")),
    ):
        with pytest.raises(NotFoundError, match=r'container "no-such-container" does not exist .* create it') as raised:
            await attempt()
        assert raised.value.code == "ContainerNotFound"


async def test_containers(azure: AzureProvider, azurite: Azurite, container: str) -> None:
    """Containers are listed by prefix, in pages, and looked up; each is a directory."""
    names = [azurite.create_container(f"{container}-{number}") for number in range(3)]
    page = await azure.list_page(container, recursive=False)
    assert page.entries == [Entry(f"{name}/", directory=True) for name in (container, *names)]
    assert page.cursor is None
    assert (await azure.stat(f"{container}/")).directory
    assert (await azure.list_page("zzz", recursive=False)).entries == []


@pytest.mark.parametrize("name", ["abc", "0-9", "a" * 63, "a-b-c", "$root", "$web", "$logs"])
async def test_container_names(azure: AzureProvider, name: str) -> None:
    """Names that a container may have are asked for."""
    with pytest.raises(NotFoundError):
        await azure.stat(f"{name}/x")


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 64, "Abc", "a_b", "a.b", "-ab", "ab-", "a--b", "$other", "abc\n", "äbc", "a b"]
)
async def test_names_that_no_container_has(connect_azure: ConnectAzure, name: str) -> None:
    """A name that no container has is refused before anything is sent."""
    azure = connect_azure("http://127.0.0.1:9")
    for attempt in (
        lambda: azure.write(f"{name}/x", body(b"x"), OPTIONS),
        lambda: azure.start_upload(f"{name}/x", None, OPTIONS),
        lambda: azure.list_page(f"{name}/", recursive=True),
        lambda: azure.read(f"{name}/x"),
        lambda: azure.delete_one(f"{name}/x"),
        lambda: azure.copy(Entry("container/x"), f"{name}/x", OPTIONS),
        lambda: azure.presign(f"{name}/x", 60),
    ):
        with pytest.raises(UnsafePathError, match="3 to 63"):
            await attempt()


@pytest.mark.parametrize("name", ["dot/./x", "up/../x", ".", "..", "a.", "a./b", "dir./", "...", "a\\b", "\\"])
async def test_names_that_the_service_takes_for_others(connect_azure: ConnectAzure, name: str) -> None:
    """A dot at the end of a segment, and a backslash, are refused before anything is sent, also for reading."""
    azure = connect_azure("http://127.0.0.1:9")
    for attempt in (
        lambda: azure.write(f"container/{name}", body(b"x"), OPTIONS),
        lambda: azure.start_upload(f"container/{name}", None, OPTIONS),
        lambda: azure.read(f"container/{name}"),
        lambda: azure.delete_one(f"container/{name}"),
        lambda: azure.copy(Entry("container/x"), f"container/{name}", OPTIONS),
    ):
        with pytest.raises(UnsafePathError, match="rename it"):
            await attempt()


@pytest.mark.parametrize("name", ["a//b", "/lead", "trail/", " ", "+", "%2F", "a.b/.c", "$", "?#&="])
async def test_odd_names(azure: AzureProvider, container: str, name: str) -> None:
    """Names that S3 servers fold are kept as they are."""
    await azure.write(f"{container}/{name}", body(b"bytes"), OPTIONS)
    page = await azure.list_page(f"{container}/", recursive=True)
    assert [entry.key for entry in page.entries] == [f"{container}/{name}"]
    assert await read(azure, f"{container}/{name}") == b"bytes"
    await azure.delete([f"{container}/{name}"])
    with pytest.raises(NotFoundError):
        await azure.stat(f"{container}/{name}")


# Listings


@pytest.fixture(scope="module")
def many(azurite: Azurite) -> Iterator[str]:
    """A container with 10,000 blobs, `00/000` to `19/499`."""

    async def fill() -> None:
        threads = Threads(1)
        http = HTTP(threads)
        settings = AzureSettings(endpoint=azurite.endpoint, account=azurite.account, account_key=azurite.account_key)
        azure, slots = AzureProvider(settings, http, threads), asyncio.Semaphore(16)

        async def put(number: int) -> None:
            async with slots:
                key = f"{name}/{number // 500:02}/{number % 500:03}"
                await azure.write(key, body(b"x"), ObjectOptions(modified=float(number)))

        await asyncio.gather(*(put(number) for number in range(2_500)))
        await http.aclose()
        threads.close()

    name = azurite.create_container("many-blobs")
    asyncio.run(fill())
    yield name
    azurite.client.delete_container(name)


async def test_listing_of_many_pages(azure: AzureProvider, many: str) -> None:
    """Objects come in pages of a thousand, the first page excepted, once each, in order, with their details."""
    found: list[Entry] = []
    page = await azure.list_page(f"{many}/", recursive=True)
    while page.cursor is not None:
        assert len(page.entries) == (1000 if found else 200)
        found += page.entries
        page = await azure.list_page(f"{many}/", recursive=True, cursor=page.cursor)
    found += page.entries
    assert [entry.key for entry in found] == [f"{many}/{n // 500:02}/{n % 500:03}" for n in range(2_500)]
    assert [entry.mtime for entry in found] == [float(number) for number in range(2_500)]
    assert {(entry.size, entry.crc32c) for entry in found} == {(1, crc32c(b"x"))}
    tops = await azure.list_page(f"{many}/", recursive=False)
    assert [entry.key for entry in tops.entries] == [f"{many}/{number:02}/" for number in range(5)]


# What is stored


async def test_what_is_kept_with_an_object(azure: AzureProvider, azurite: Azurite, container: str) -> None:
    """Checksum and time are metadata for others, and none for us; the service keeps an MD5 of its own."""
    options = ObjectOptions("text/plain", {"Origin": " lab 7 "}, modified=1700000000.25)
    await azure.write(f"{container}/one", body(b"bytes"), options)
    upload = await azure.start_upload(f"{container}/two", 5, options)
    await upload.finish([await upload.write_part(Part(1, 0, 5), body(b"bytes"))], crc32c(b"bytes"))
    blobs = azurite.client.get_container_client(container)
    for name in ("one", "two"):
        stored = blobs.get_blob_client(name).get_blob_properties()
        assert stored.metadata == {
            "origin": "lab 7",
            "mtime": "1700000000.250000",
            "dxflow_crc32c": encode(crc32c(b"bytes")),
        }
        page = await azure.list_page(f"{container}/{name}", recursive=True)
        async with await azure.read(f"{container}/{name}") as reading:
            for entry in (await azure.stat(f"{container}/{name}"), reading.entry, *page.entries):
                assert (entry.mtime, entry.crc32c) == (1700000000.25, crc32c(b"bytes"))
                assert (entry.content_type, entry.metadata) == ("text/plain", {"origin": "lab 7"})
    assert bytes(blobs.get_blob_client("one").get_blob_properties().content_settings.content_md5) == md5(b"bytes")


def md5(data: bytes) -> bytes:
    return hashlib.md5(data).digest()


@pytest.mark.parametrize("name", ["with-hyphen", "1st", "", "a b", "ä", "a\r\nb"])
async def test_metadata_that_cannot_be_kept(connect_azure: ConnectAzure, name: str) -> None:
    """A name of metadata that Azure does not take is refused before anything is sent."""
    azure = connect_azure("http://127.0.0.1:9")
    for attempt in (
        lambda: azure.write("container/x", body(b"x"), ObjectOptions(metadata={name: "1"})),
        lambda: azure.start_upload("container/x", None, ObjectOptions(metadata={name: "1"})),
    ):
        with pytest.raises(UnsupportedError, match="metadata"):
            await attempt()


async def test_objects_of_other_programs(azure: AzureProvider, azurite: Azurite, container: str) -> None:
    """An object that another program stored has no checksum for us, and a metadata `mtime` that is none is kept."""
    azurite.client.get_blob_client(container, "name").upload_blob(b"x", metadata={"mtime": "yesterday", "Big": "1"})
    entry = await azure.stat(f"{container}/name")
    assert (entry.crc32c, entry.mtime, entry.metadata) == (None, None, {"mtime": "yesterday", "big": "1"})
    assert await read(azure, f"{container}/name") == b"x"


async def test_server_compares_the_crc64(azure: AzureProvider, container: str) -> None:
    """A CRC64 of other bytes is refused; the right one, of a large body too, is told back."""
    call, requests = Call("AZURE", "write", "/x"), azure._requests
    headers = {"x-ms-blob-type": "BlockBlob", "x-ms-content-crc64": base64.b64encode(bytes(8)).decode()}
    with pytest.raises(ChecksumMismatchError) as raised:
        await requests.send(call, "PUT", container, "x", headers, body=body(b"bytes"))
    assert (raised.value.code, raised.value.retryable) == ("Crc64Mismatch", True)
    upload = await azure.start_upload(f"{container}/x", None, OPTIONS)
    assert (await upload.write_part(Part(1, 0, MiB), body(os.urandom(MiB)))).verified
    assert requests._crc64 is True


@pytest.mark.parametrize("checksum", ["auto", "md5"])
async def test_server_compares_the_md5(
    connect_azure: ConnectAzure, azurite: Azurite, container: str, checksum: str
) -> None:
    """At an emulator, and where it is asked for, bodies carry an MD5; one of other bytes is refused, of a block too."""
    account = {"account": azurite.account, "account_key": azurite.account_key}
    azure = connect_azure(azurite.endpoint, checksum=checksum, **account)
    wrong = {"content-md5": base64.b64encode(md5(b"other")).decode()}
    blob, block = {"x-ms-blob-type": "BlockBlob"}, {"comp": "block", "blockid": "MQ=="}
    call, send = Call("AZURE", "write", "/x"), azure._requests.send
    for headers, query in ((wrong | blob, {}), (wrong, block)):
        with pytest.raises(ChecksumMismatchError) as raised:
            await send(call, "PUT", container, "x", headers, query=query, body=body(b"bytes"))
        assert raised.value.code == "Md5Mismatch"
    stored = await azure.write(f"{container}/x", body(b"x" * 100_000), OPTIONS)
    assert stored.crc32c == crc32c(b"x" * 100_000)
    upload = await azure.start_upload(f"{container}/y", None, OPTIONS)
    receipt = await upload.write_part(Part(1, 0, 1), body(b"y"))
    assert receipt.verified
    await upload.finish([receipt], None)
    assert azure._requests._crc64 is False
    assert await read(azure, f"{container}/x") == b"x" * 100_000
    assert await read(azure, f"{container}/y") == b"y"


async def test_body_without_a_checksum(azure: AzureProvider, container: str) -> None:
    """A body whose checksum nobody knew gets one."""
    entry = await azure.write(f"{container}/x", Buffered([b"by", b"tes"], 5), OPTIONS)
    assert entry.crc32c == (await azure.stat(f"{container}/x")).crc32c == crc32c(b"bytes")


# Uploads in parts


async def test_blocks_are_in_the_order_of_their_numbers(azure: AzureProvider, azurite: Azurite, container: str) -> None:
    """Whatever order blocks came in, they are committed by number, and committing again does no harm."""
    upload = await azure.start_upload(f"{container}/x", None, OPTIONS)
    receipts = {
        number: await upload.write_part(Part(number, number - 1, 1), body(b"%d" % (number % 10)))
        for number in (11, 2, 50_000, 1, 10)
    }
    ordered = [receipts[number] for number in sorted(receipts)]
    for _ in range(2):
        entry = await upload.finish(ordered, crc32c(b"12010"))
        assert entry.crc32c == crc32c(b"12010")
    assert await read(azure, f"{container}/x") == b"12010"
    committed, uncommitted = azurite.client.get_blob_client(container, "x").get_block_list("all")
    assert [block.id for block in committed] == [f"{upload.id}{number:05}" for number in (1, 2, 10, 11, 50_000)]
    assert uncommitted == []


async def test_upload_of_nothing(azure: AzureProvider, container: str) -> None:
    """An upload whose only part is empty makes an empty object."""
    upload = await azure.start_upload(f"{container}/empty", 0, OPTIONS)
    await upload.finish([await upload.write_part(Part(1, 0, 0), body())], 0)
    entry = await azure.stat(f"{container}/empty")
    assert (entry.size, entry.crc32c) == (0, 0)
    assert await read(azure, f"{container}/empty") == b""


async def test_blocks_that_are_gone(azure: AzureProvider, container: str) -> None:
    """An upload of which the service has a block no more is not finished, and says why; the key is untouched."""
    await azure.write(f"{container}/x", body(b"other"), OPTIONS)
    upload = await azure.start_upload(f"{container}/x", None, OPTIONS)
    receipt = replace(await upload.write_part(Part(1, 0, 1), body(b"x")), part=Part(2, 0, 1))
    with pytest.raises(PreconditionFailedError, match="start again") as raised:
        await upload.finish([receipt], None)
    assert raised.value.code == "InvalidBlockList"
    assert await read(azure, f"{container}/x") == b"other"


# Public containers


def anonymous(azurite: Azurite, key: str) -> int:
    """What somebody without credentials gets."""
    try:
        with urllib.request.urlopen(f"{azurite.endpoint}/{key}") as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_public_object(azure: AzureProvider, azurite: Azurite, container: str) -> None:
    """Where the container lets anybody read, an object is public; else nothing is written, and why is said."""
    public = ObjectOptions(public=True)
    await azure.write(f"{container}/source", body(b"x"), OPTIONS)
    source = await azure.stat(f"{container}/source")
    for attempt in (
        lambda: azure.write(f"{container}/name", body(b"x"), public),
        lambda: azure.start_upload(f"{container}/name", None, public),
        lambda: azure.copy(source, f"{container}/name", public),
    ):
        with pytest.raises(UnsupportedError, match=f'container "{container}" .* public access level'):
            await attempt()
    assert azurite.uncommitted(container) == []
    with pytest.raises(NotFoundError):
        await azure.stat(f"{container}/name")
    open_container = azurite.create_container(f"{container}-open", public_access="blob")
    await azure.write(f"{open_container}/one", body(b"x"), public)
    upload = await azure.start_upload(f"{open_container}/two", 1, public)
    await upload.finish([await upload.write_part(Part(1, 0, 1), body(b"x"))], crc32c(b"x"))
    assert [anonymous(azurite, f"{open_container}/{name}") for name in ("one", "two")] == [200, 200]
    assert anonymous(azurite, f"{container}/source") in (403, 404)


async def test_public_access_is_looked_at_once(connect_azure: ConnectAzure) -> None:
    """A container that is public is not looked at again."""
    public = answer("200 OK", x_ms_blob_public_access="container", ETag='"1"')
    async with ScriptedServer(public, answer("201 Created", ETag='"2"')) as server:
        azure = connect_azure(server.url)
        for name in "abc":
            await azure.write(f"container/{name}", body(b"x"), ObjectOptions(public=True))
    assert [request.method for request in server.requests] == ["HEAD", "PUT", "PUT", "PUT"]


# Deletions


async def test_delete_many(azure: AzureProvider, container: str) -> None:
    """More than a batch holds are deleted; those that are not there are no error."""
    names = [f"{number:03} ü&<>%" for number in range(300)]
    await asyncio.gather(*(azure.write(f"{container}/{name}", body(b""), OPTIONS) for name in names[::5]))
    assert await azure.delete([f"{container}/{name}" for name in names]) == {}
    assert (await azure.list_page(f"{container}/", recursive=True)).entries == []


async def test_delete_that_fails(azure: AzureProvider, azurite: Azurite, container: str) -> None:
    """What a lease protects is named, alone and among others, and the others are gone."""
    for name in "abc":
        await azure.write(f"{container}/{name}", body(b"x"), OPTIONS)
    lease = azurite.client.get_blob_client(container, "b").acquire_lease()
    for names in ("abc", "b"):
        failed = await azure.delete([f"{container}/{name}" for name in names])
        assert [(key, type(error)) for key, error in failed.items()] == [(f"{container}/b", AccessDeniedError)]
        assert re.search(f"delete of /{container}/b failed.* lease", str(failed[f"{container}/b"]))
        assert failed[f"{container}/b"].code == "LeaseIdMissing"
    assert [entry.key for entry in (await azure.list_page(f"{container}/", recursive=True)).entries] == [
        f"{container}/b"
    ]
    lease.release()


async def test_snapshots_go_with_their_blob(azure: AzureProvider, azurite: Azurite, container: str) -> None:
    """A blob with snapshots is deleted, alone and among others."""
    for name in "abc":
        await azure.write(f"{container}/{name}", body(b"x"), OPTIONS)
        azurite.client.get_blob_client(container, name).create_snapshot()
    await azure.delete([f"{container}/a"])
    await azure.delete([f"{container}/b", f"{container}/c"])
    assert list(azurite.client.get_container_client(container).list_blobs(include=["snapshots"])) == []


# Signed URLs


async def test_signed_url_ends(azure: AzureProvider, container: str) -> None:
    """A signed URL is of no use after its time."""
    await azure.write(f"{container}/name", body(b"x"), OPTIONS)
    url = await azure.presign(f"{container}/name", 1)
    await asyncio.sleep(2)
    assert await asyncio.to_thread(_fetch, url) == 403


def _fetch(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_signed_url_of_an_endpoint_with_tls(connect_azure: ConnectAzure) -> None:
    """A URL of an https endpoint may not be used over http."""
    azure = connect_azure("https://account1.blob.core.windows.net")
    assert "&spr=https&" in await azure.presign("container/name", 60)
    assert (await azure.presign("container/a b", 60)).startswith(
        "https://account1.blob.core.windows.net/container/a%20b?"
    )


async def test_impossible_signed_urls(azure: AzureProvider, connect_azure: ConnectAzure, container: str) -> None:
    """A time or a method that cannot be is refused; without the account's key there is no signing."""
    with pytest.raises(ConfigurationError, match="expires"):
        await azure.presign(f"{container}/x", 0.5)
    with pytest.raises(ConfigurationError, match="method"):
        await azure.presign(f"{container}/x", 60, method="POST")
    keyless = connect_azure("https://account1.blob.core.windows.net", account_key=None, sas_token="sv=1&sig=x")
    assert not keyless.features.presign
    with pytest.raises(UnsupportedError, match=r"AZURE\.account_key"):
        await keyless.presign(f"{container}/x", 60)


async def test_error_has_the_request_id(azure: AzureProvider, container: str) -> None:
    """What the service's support asks for is in the error."""
    with pytest.raises(StorageError) as raised:
        await azure.read(f"{container}/missing")
    assert raised.value.request_id
