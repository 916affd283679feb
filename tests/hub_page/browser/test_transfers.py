"""Uploads, downloads and jobs, as somebody does them with the mouse in a real Chromium."""

from __future__ import annotations

import hashlib
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, expect

from dxflow_async.hub_page.doors import MachineDoor
from tests.hub_page.browser.chromium import Visit, visit
from tests.hub_page.browser.page_server import on_a_thread
from tests.hub_page.page_client import own_page
from tests.servers import SeaweedFS
from tests.sessions import settings_for

pytestmark = [pytest.mark.browser, pytest.mark.long]


class Place(NamedTuple):
    """The page of this machine's user, who has a remote.

    Attributes:
        url: where it is.
        door: makes tickets.
        disk: a directory for files.
        weed: the remote's server.
        bucket: a bucket there.
    """

    url: str
    door: MachineDoor
    disk: Path
    weed: SeaweedFS
    bucket: str

    def sizes(self) -> dict[str, int]:
        """The objects in the bucket and their sizes."""
        pages = self.weed.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}


@pytest.fixture(scope="module")
def place(weed: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The page of this machine's user, who has a remote."""
    top = tmp_path_factory.mktemp("place")
    (top / "me/disk").mkdir(parents=True)
    bucket = weed.create_bucket(f"page-{uuid4().hex[:8]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(top / "me"))
        with on_a_thread(own_page(settings_for(weed, top / "home", sdk_configuration=False))) as (url, door):
            yield Place(url, door, top / "me/disk", weed, bucket)


@pytest.fixture
def user(browser: Browser, place: Place) -> Iterator[Visit]:
    """This machine's user, at the overview."""
    with visit(browser, place.url) as opened:
        opened.enter(place.door.new_ticket())
        yield opened


def test_a_dropped_folder_arrives(user: Visit, place: Place, tmp_path: Path) -> None:
    """A folder of 200 files, dropped on the page, arrives with all names and contents; the tray says so."""
    folder = tmp_path / "measured"
    contents = {}
    for number in range(200):
        path = folder / ("deep/er" if number % 3 else ".") / f"n {number} ü&#%.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}" * number)
        contents[f"dropped/measured/{path.relative_to(folder).as_posix()}"] = path.stat().st_size
    user.go(f"aws:/{place.bucket}/dropped/")
    user.drop(folder)
    expect(user.page.locator(".tray")).to_contain_text("Upload 200 files")
    expect(user.page.locator(".work .pill")).to_have_text("Done", timeout=120_000)
    expect(user.row("measured")).to_be_visible()
    user.screenshot("dropped-folder")
    found = {key: size for key, size in place.sizes().items() if key.startswith("dropped/measured/")}
    assert found == contents


def test_names_that_exist_are_asked_about(user: Visit, place: Place, tmp_path: Path) -> None:
    """Nothing is replaced before somebody says so; then the new contents are there."""
    (place.disk / "kept").mkdir()
    (place.disk / "kept/report.txt").write_text("old")
    new = tmp_path / "report.txt"
    new.write_text("the new one")
    user.refused = {409}
    user.go(f"local:{place.disk}/kept/")
    user.drop(new)
    expect(user.page.locator(".work-note")).to_contain_text("exists there already")
    assert (place.disk / "kept/report.txt").read_text() == "old"
    user.button("Replace it").click()
    expect(user.page.locator(".work .pill")).to_have_text("Done")
    assert (place.disk / "kept/report.txt").read_text() == "the new one"


def test_an_upload_goes_on_after_a_reload(browser: Browser, place: Place, tmp_path: Path) -> None:
    """A page that is loaded again in mid-upload lists it, refuses another file, and goes on with the right one."""
    data = random.Random(7).randbytes(24 << 20)
    (tmp_path / "right").mkdir()
    (tmp_path / "wrong").mkdir()
    (tmp_path / "right/large.bin").write_bytes(data)
    (tmp_path / "wrong/large.bin").write_bytes(data[:-1])
    with visit(browser, place.url) as user:
        user.enter(place.door.new_ticket())
        user.go(f"aws:/{place.bucket}/")
        slow = user.page.context.new_cdp_session(user.page)
        slow.send("Network.enable")
        limits = {"offline": False, "latency": 1, "downloadThroughput": -1, "uploadThroughput": 4 << 20}
        slow.send("Network.emulateNetworkConditions", limits)
        user.drop(tmp_path / "right/large.bin")
        user.page.wait_for_function(
            "() => /^[1-9][0-9.]* MiB of/.test(document.querySelector('.work-words')?.textContent ?? '')"
        )
        user.screenshot("upload-running")
        user.page.reload()
        expect(user.page.locator(".unfinished")).to_contain_text("large.bin")
        assert "large.bin" not in place.sizes()
        user.screenshot("upload-unfinished")
        for folder in ("wrong", "right"):
            with user.page.expect_file_chooser() as chooser:
                user.button("Choose file").click()
            chooser.value.set_files(tmp_path / folder / "large.bin")
            if folder == "wrong":
                expect(user.page.locator(".toast", has_text="not the file")).to_be_visible()
        expect(user.page.locator(".work .pill")).to_have_text("Done", timeout=120_000)
        expect(user.page.locator(".unfinished")).to_have_count(0)
    stored = place.weed.client.get_object(Bucket=place.bucket, Key="large.bin")["Body"].read()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(data).digest()


def test_a_cancelled_upload_leaves_nothing(user: Visit, place: Place, tmp_path: Path) -> None:
    """Cancel ends it at the server too: neither a file nor an unfinished upload stays."""
    (tmp_path / "unwanted.bin").write_bytes(bytes(24 << 20))
    (place.disk / "cancelled").mkdir()
    user.go(f"local:{place.disk}/cancelled/")
    slow = user.page.context.new_cdp_session(user.page)
    slow.send("Network.enable")
    limits = {"offline": False, "latency": 1, "downloadThroughput": -1, "uploadThroughput": 2 << 20}
    slow.send("Network.emulateNetworkConditions", limits)
    user.drop(tmp_path / "unwanted.bin")
    expect(user.page.locator(".work-words")).to_contain_text("MiB of")
    user.button("Cancel", ".tray").click()
    expect(user.page.locator(".work .pill")).to_have_text("Cancelled")
    slow.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": -1})
    user.page.wait_for_function("async () => (await (await fetch('page/uploads/')).json()).uploads.length === 0")
    assert not list((place.disk / "cancelled").iterdir())


def test_files_and_folders_download(user: Visit, place: Place, tmp_path: Path) -> None:
    """A file comes as it is, and a folder as a zip with all that is in it."""
    (place.disk / "down/sub").mkdir(parents=True)
    (place.disk / "down/a b.txt").write_text("first")
    (place.disk / "down/sub/c.txt").write_text("second")
    user.go(f"local:{place.disk}/")
    user.row("down").click()
    with user.page.expect_download() as zipped:
        user.button("Download zip", ".toolbar").click()
    zipped.value.save_as(tmp_path / "down.zip")
    with zipfile.ZipFile(tmp_path / "down.zip") as archive:
        found = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    assert {name.rpartition("/")[2]: text for name, text in found.items()} == {"a b.txt": b"first", "c.txt": b"second"}
    user.row("down").dblclick()
    user.row("a b.txt").click()
    with user.page.expect_download() as single:
        user.button("Download", ".toolbar").click()
    assert single.value.suggested_filename == "a b.txt"
    assert Path(single.value.path()).read_text() == "first"


def test_copying_between_two_places(user: Visit, place: Place) -> None:
    """Two places are picked on the page; a job of the server copies, and the tray shows it until it is done."""
    source = place.disk / "survey"
    for name in ("a.csv", "deep/b.csv"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name * 100)
    place.weed.client.put_object(Bucket=place.bucket, Key="archive/old.txt", Body=b"x")
    user.go(f"local:{place.disk}/")
    user.row("survey").click()
    user.button("Copy to", ".toolbar").click()
    dialog = user.page.get_by_role("dialog")
    expect(dialog.locator(".counts")).to_contain_text("2 files")
    dialog.get_by_role("treeitem", name="aws", exact=True).click()
    dialog.get_by_role("treeitem", name=place.bucket).click()
    dialog.get_by_role("treeitem", name="archive", exact=True).click()
    user.screenshot("copy-picker")
    dialog.get_by_role("button", name="Copy here").click()
    expect(user.page.locator(".work .pill")).to_have_text("Done", timeout=60_000)
    user.screenshot("copy-done")
    assert {key: size for key, size in place.sizes().items() if key.startswith("archive/survey/")} == {
        "archive/survey/a.csv": 500,
        "archive/survey/deep/b.csv": 1000,
    }
    with user.page.context.expect_page() as opened:
        user.page.get_by_role("link", name="Report").click()
    opened.value.wait_for_load_state()
    assert "report" in opened.value.url


def test_a_link_is_made_and_sizes_are_counted(user: Visit, place: Place) -> None:
    """A link gives the file to whoever has it; the size of a directory appears in the list when it is asked for."""
    for key, body in {"shared/report.txt": b"for all", "shared/deep/more.txt": b"12345"}.items():
        place.weed.client.put_object(Bucket=place.bucket, Key=key, Body=body)
    user.go(f"aws:/{place.bucket}/shared/")
    user.row("report.txt").click()
    user.button("Link", ".toolbar").click()
    user.page.get_by_label("1 hour").check()
    user.button("Make link").click()
    link = user.page.get_by_role("textbox", name="Link", exact=True)
    expect(link).to_be_visible()
    user.screenshot("link")
    assert user.page.request.get(link.input_value()).text() == "for all"
    user.page.keyboard.press("Escape")
    user.row("deep").click()
    user.row("deep").get_by_role("button", name="Count what is in deep").click()
    expect(user.row("deep").locator(".size > span")).to_have_text("5 B")


def test_rename_new_folder_and_delete(user: Visit, place: Place) -> None:
    """Each is seen in the list and on the disk; deleting asks first, and says how many files it is."""
    top = place.disk / "changes"
    (top / "old").mkdir(parents=True)
    (top / "old/one.txt").write_text("1")
    (top / "old/two.txt").write_text("2")
    (top / 'draft "<b>.txt').write_text("x")
    user.go(f"local:{top}/")
    user.button("New folder").click()
    user.page.keyboard.type("fresh")
    user.page.keyboard.press("Enter")
    expect(user.row("fresh")).to_have_attribute("aria-selected", "true")
    assert (top / "fresh").is_dir()
    user.refused.add(404)  # the preview of what is renamed meanwhile
    user.row('draft "<b>.txt').click()
    user.page.keyboard.press("F2")
    user.page.keyboard.type("final")
    user.page.keyboard.press("Enter")
    expect(user.row("final.txt")).to_be_visible()
    assert (top / "final.txt").read_text() == "x"
    user.row("old").click()
    user.page.keyboard.press("Delete")
    dialog = user.page.get_by_role("dialog")
    expect(dialog.locator(".counts")).to_contain_text("2 files")
    assert (top / "old/one.txt").exists()
    dialog.get_by_role("button", name="Delete").click()
    expect(user.row("old")).to_have_count(0)
    assert not (top / "old").exists()


def test_a_new_folder_where_folders_are_names(user: Visit, place: Place, tmp_path: Path) -> None:
    """It opens at once and says that it exists once it has a file. Drops land there; without one, nothing stays."""
    (tmp_path / "tree/none").mkdir(parents=True)
    (tmp_path / "tree/plan.txt").write_text("plan")
    user.go(f"aws:/{place.bucket}/")
    for name in ("unwanted", "ideas"):
        user.button("New folder").click()
        user.page.keyboard.type(name)
        user.page.keyboard.press("Enter")
        expect(user.page.locator(".crumbs [aria-current]")).to_have_text(name)
        expect(user.page.locator(".nothing")).to_contain_text("It exists once it holds a file")
        user.screenshot("new-folder")
        if name == "unwanted":
            user.page.keyboard.press("Backspace")
            expect(user.page.locator(".crumbs [aria-current]")).to_have_text(place.bucket)
    user.drop(tmp_path / "tree")
    expect(user.row("tree")).to_be_visible()
    expect(user.page.locator(".toast", has_text="1 empty folder left out")).to_be_visible()
    keys = place.sizes().keys()
    assert "ideas/tree/plan.txt" in keys
    assert not [key for key in keys if key.startswith("unwanted") or key.endswith("/")]
    user.page.keyboard.press("Backspace")
    expect(user.row("ideas")).to_have_attribute("aria-selected", "true")
    user.page.keyboard.press("Escape")
    user.refused.add(409)
    user.button("New folder").click()
    user.page.keyboard.type("ideas")
    user.page.keyboard.press("Enter")
    expect(user.page.locator(".toast", has_text="exists already")).to_be_visible()
