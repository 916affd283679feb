"""Uploads: straight into storage, resumable, and leaving nothing when they are given up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async.hub_page import uploads
from tests.hub_page.page_client import ME, YOU, Browser, browser, running_hub
from tests.servers import SeaweedFS
from tests.sessions import MiB, unfinished_uploads

CONTENT = bytes(range(256)) * 4096


async def left(directory: Path) -> list[str]:
    """The files below a directory, work files among them."""
    return await asyncio.to_thread(
        lambda: sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    )


async def test_a_file_is_stored_with_its_last_byte(disk_user: Browser, tmp_path: Path) -> None:
    """In one request or in several; the last answer comes when the file is there, and says its offset."""
    answer = await disk_user.upload(f"local:{tmp_path}/in/one.bin", CONTENT)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, str(len(CONTENT)))
    assert (tmp_path / "in/one.bin").read_bytes() == CONTENT
    created = await disk_user.create(f"local:{tmp_path}/in/two.bin", len(CONTENT), fingerprint="mine")
    upload = created.headers["Location"]
    assert "/" not in upload, "relative to the URL of the request"
    assert (await disk_user.patch(upload, 0, CONTENT[:1000])).headers["Upload-Offset"] == "1000"
    listed = (await disk_user.get("page/uploads/")).tree["uploads"]
    assert listed == [
        {
            "id": upload,
            "location": f"local:{tmp_path}/in/two.bin",
            "offset": 1000,
            "length": len(CONTENT),
            "fingerprint": "mine",
        }
    ]
    assert not (tmp_path / "in/two.bin").exists()
    assert (await disk_user.patch(upload, 999, CONTENT[999:])).code == "wrong_offset"
    assert (await disk_user.patch(upload, 1000, CONTENT[1000:])).status == 204
    assert (tmp_path / "in/two.bin").read_bytes() == CONTENT
    assert (await disk_user.get("page/uploads/")).tree == {"uploads": []}
    assert await disk_user.offset(upload) == len(CONTENT), "for a client that missed the answer"


async def test_an_empty_file_is_stored(disk_user: Browser, tmp_path: Path) -> None:
    """It has no byte whose coming could store it."""
    assert (await disk_user.upload(f"local:{tmp_path}/empty", b"")).status == 201
    assert (await disk_user.create(f"local:{tmp_path}/empty too", 0)).status == 201
    assert (tmp_path / "empty").read_bytes() == (tmp_path / "empty too").read_bytes() == b""


async def test_a_broken_request_goes_on_where_it_stopped(user: Browser, tmp_path: Path) -> None:
    """Bytes that came stay, though their request broke off; a request that hangs gives way to the next one."""
    upload = (await user.create(f"unit:/Demo/in/{tmp_path.name}", len(CONTENT))).headers["Location"]
    hangs = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield CONTENT[:300_000]
        hangs.set()
        await asyncio.sleep(60)

    hanging = asyncio.create_task(user.patch(upload, 0, half()))
    await hangs.wait()
    while await user.offset(upload) != 300_000:  # noqa: ASYNC110 - the server is asked
        await asyncio.sleep(0.01)
    answer = await user.patch(upload, 300_000, CONTENT[300_000:500_000])
    assert answer.headers["Upload-Offset"] == "500000"
    hanging.cancel()
    await asyncio.wait({hanging})
    assert (await user.patch(upload, 500_000, CONTENT[500_000:])).status == 204
    stored = await user.get("page/file", location=f"unit:/Demo/in/{tmp_path.name}")
    assert stored.content == CONTENT


async def test_what_is_given_up_leaves_nothing(
    disk_user: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a DELETE, by an hour without a byte, or by another upload of the same file; no work file stays."""
    directory = tmp_path / "in"
    directory.mkdir()
    first = (await disk_user.create(f"local:{directory}/a", 2 << 20, body=CONTENT)).headers["Location"]
    assert (await disk_user.request("DELETE", f"page/uploads/{first}")).status == 204
    assert await disk_user.offset(first) is None
    second = (await disk_user.create(f"local:{directory}/b", 2 << 20, body=CONTENT)).headers["Location"]
    third = (await disk_user.create(f"local:{directory}/b", 2 << 20, body=CONTENT)).headers["Location"]
    assert (await disk_user.offset(second), await disk_user.offset(third)) == (None, len(CONTENT))
    monkeypatch.setattr(uploads, "EXPIRY_SECONDS", 0.0)
    monkeypatch.setattr("dxflow_async.hub_page.visitors._SWEEP_SECONDS", 0.01)
    async with asyncio.timeout(60):
        while (await disk_user.get("page/uploads/")).tree["uploads"]:  # noqa: ASYNC110 - the server is asked
            await asyncio.sleep(0.1)
    assert await left(directory) == []


async def test_an_existing_file_is_kept_where_that_was_asked(disk_user: Browser, tmp_path: Path) -> None:
    """It is refused before a byte is sent; without the wish it is replaced."""
    (tmp_path / "there").write_text("old")
    answer = await disk_user.create(f"local:{tmp_path}/there", 3, overwrite="no")
    assert (answer.status, answer.code) == (409, "exists")
    assert (await disk_user.upload(f"local:{tmp_path}/there", b"new")).status == 201
    assert (tmp_path / "there").read_text() == "new"


async def test_refused_uploads(user: Browser, tmp_path: Path) -> None:
    """Each says what is wrong, and nothing is begun."""
    assert (await user.create(f"local:{tmp_path}/dir/", 3)).code == "invalid_location"
    assert (await user.create("nowhere:/x", 3)).status == 400
    assert (await user.upload("unit:/Nobody/x", b"abc")).code == "not_found"
    (tmp_path / "file").write_text("")
    assert (await user.upload(f"local:{tmp_path}/file/below", b"abc")).status >= 400
    assert (await user.create(f"local:{tmp_path}/x", 3, body=b"four")).code == "too_long"
    upload = (await user.create(f"local:{tmp_path}/y", 3)).headers["Location"]
    assert (await user.patch(upload, 0, b"abc", **{"Content-Type": "text/plain"})).code == "not_bytes"
    assert (await user.patch(upload, 0, b"abc", **{"Tus-Resumable": ""})).code == "tus_version"
    assert (await user.patch(upload, 0, b"abc", **{"Upload-Offset": "x"})).code == "invalid_header"
    assert (await user.patch(upload, 0, b"abcd")).code == "too_long"
    assert (await user.patch("guessed", 0, b"abc")).code == "not_found"


async def test_the_number_of_uploads_is_limited(
    disk_user: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than fits has to wait."""
    monkeypatch.setattr(uploads, "MAX_UPLOADS", 2)
    made = [await disk_user.create(f"local:{tmp_path}/{number}", 3) for number in range(3)]
    assert [each.status for each in made] == [201, 201, 429]
    assert "Retry-After" in made[2].headers
    assert (await disk_user.patch(made[0].headers["Location"], 0, b"abc")).status == 204
    assert (await disk_user.upload(f"local:{tmp_path}/2", b"abc")).status == 201


async def test_uploads_belong_to_their_visitor(tmp_path: Path) -> None:
    """Somebody else who knows the ID can neither see, go on with, nor end it."""
    async with running_hub(tmp_path / "home") as url, browser(url) as me, browser(url) as you:
        await me.sign_in(ME)
        await you.sign_in(YOU)
        refused = await me.upload("local:/tmp/x", b"abc")
        assert (refused.status, refused.code) == (403, "outside")
        for location in ("/etc/passwd", "file:///etc/x", "unit:/Demo/x/../../..", "%:%2Fetc%2Fx"):
            assert (await me.upload(location, b"abc")).status in (400, 403, 404), location


def stored_object(weed: SeaweedFS, bucket: str, key: str) -> bytes:
    content: bytes = weed.client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


async def test_a_large_file_goes_to_s3_in_parts(cloud_user: Browser, weed: SeaweedFS, bucket: str) -> None:
    """Also over a broken request; when it is given up no multipart upload stays at the service."""
    content = os.urandom(MiB) * 13
    key = "in/über große Datei.bin"
    upload = (await cloud_user.create(f"aws:/{bucket}/{key}", len(content), body=content[: 7 * MiB])).headers[
        "Location"
    ]
    assert await cloud_user.offset(upload) == 7 * MiB
    assert (await cloud_user.patch(upload, 7 * MiB, content[7 * MiB :])).status == 204
    stored = await asyncio.to_thread(stored_object, weed, bucket, key)
    assert stored == content
    other = (await cloud_user.create(f"aws:/{bucket}/in/other", len(content), body=content[:-1])).headers["Location"]
    assert (await cloud_user.request("DELETE", f"page/uploads/{other}")).status == 204
    assert await asyncio.to_thread(unfinished_uploads, weed, bucket) == []
    assert (await cloud_user.upload("aws:/no-such-bucket-here/x", b"abc")).code == "not_found"
