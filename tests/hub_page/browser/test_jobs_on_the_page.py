"""Jobs in the tray of the page: paused, resumed, tried again, and followed through a broken connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, expect

from dxflow_async import Settings
from tests.hub_page.browser.chromium import Visit, visit
from tests.hub_page.browser.page_server import Relay, on_a_thread
from tests.hub_page.page_client import own_page

pytestmark = [pytest.mark.browser, pytest.mark.long]

MiB = 1 << 20
SPEED = 4 * MiB


class Slow(NamedTuple):
    """A page and the network that it is reached by."""

    user: Visit
    network: Relay


@pytest.fixture
def connected(browser: Browser, tmp_path: Path) -> Iterator[Slow]:
    """The page of this machine's user, whose jobs move `SPEED` bytes a second."""
    settings = Settings(home=tmp_path / "home", sdk_configuration=False, max_bandwidth=SPEED)
    account = {"email": "me@example.org", "password": "correct horse"}
    with (
        on_a_thread(own_page(settings, **account)) as (url, door),
        on_a_thread(Relay(url)) as network,
        visit(browser, network.url) as opened,
    ):
        opened.enter(door.new_ticket())
        yield Slow(opened, network)


@pytest.fixture
def slow(connected: Slow) -> Visit:
    """The page of this machine's user, whose jobs move `SPEED` bytes a second."""
    return connected.user


def copy_to_demo(user: Visit, source: Path) -> Locator:
    """Starts to copy a directory to the unit by the page's dialog, and returns the card of the job."""
    user.go(f"local:{source.parent}/")
    user.row(source.name).click()
    user.button("Copy to", ".toolbar").click()
    dialog = user.page.get_by_role("dialog")
    dialog.get_by_role("treeitem", name="Demo", exact=True).click()
    dialog.get_by_role("button", name="Copy here").click()
    card = user.page.locator(".work", has_text=f"Copy {source.name}")
    expect(card).to_be_visible()
    return card


def large_files(top: Path, count: int, size: int) -> Path:
    """A directory of files."""
    top.mkdir()
    for number in range(count):
        (top / f"{number}.bin").write_bytes(bytes([number]) * size)
    return top


def test_a_job_is_paused_and_resumed(slow: Visit, tmp_path: Path) -> None:
    """A paused job says so and moves nothing, also for a page that is loaded again; a resumed one completes."""
    source = large_files(tmp_path / "recordings", 6, 6 * MiB)
    card = copy_to_demo(slow, source)
    expect(card.locator(".work-words")).to_contain_text("MiB of 36 MiB")
    expect(card.locator(".work-words")).to_contain_text(re.compile(r"/s.* left"))
    expect(card.locator(".spark")).to_be_visible()
    card.get_by_role("button", name="Pause").click()
    expect(card.locator(".pill")).to_have_text("Paused")
    expect(card.get_by_role("button", name="Resume")).to_be_visible()
    words = card.locator(".work-words").inner_text()
    slow.page.wait_for_timeout(1500)
    assert card.locator(".work-words").inner_text() == words
    slow.screenshot("job-paused")
    slow.page.reload()
    expect(card.locator(".pill")).to_have_text("Paused")
    card.get_by_role("button", name="Resume").click()
    expect(card.locator(".pill")).to_have_text("Done")
    expect(card.locator(".work-words")).to_contain_text("6 items")
    slow.go("unit:/Demo/recordings/")
    assert slow.names() == [f"{number}.bin" for number in range(6)]
    expect(slow.row("0.bin").locator(".size")).to_contain_text("6 MiB")


def test_what_failed_is_tried_again(slow: Visit, tmp_path: Path) -> None:
    """The card names the item and its reason; after the cause is gone, a retry completes the job."""
    source = large_files(tmp_path / "source", 3, 1000)
    destination = tmp_path / "target"
    blocked = destination / "source/1.bin"
    blocked.mkdir(parents=True)
    (blocked / "in the way").touch()
    slow.go(f"local:{source.parent}/")
    slow.row("source").click()
    slow.page.keyboard.press("Control+c")
    slow.row("target").dblclick()
    expect(slow.page.locator(".crumbs [aria-current]")).to_have_text("target")
    slow.page.keyboard.press("Control+v")
    slow.page.get_by_role("dialog").get_by_role("button", name="Copy here").click()
    card = slow.page.locator(".work", has_text="Copy source")
    expect(card.locator(".pill")).to_have_text("Partly failed")
    card.get_by_text("1 item failed").click()
    expect(card.locator("details li bdi")).to_contain_text("1.bin")
    assert card.locator("details li small").inner_text().strip()
    slow.screenshot("job-failed")
    (blocked / "in the way").unlink()
    blocked.rmdir()
    card.get_by_role("button", name="Retry failed").click()
    expect(card.locator(".pill")).to_have_text("Done")
    expect(card.locator("details")).to_be_hidden()
    assert sorted(path.name for path in blocked.parent.iterdir()) == ["0.bin", "1.bin", "2.bin"]
    assert blocked.read_bytes() == bytes([1]) * 1000


def test_a_broken_connection_is_said_and_made_up_for(connected: Slow, tmp_path: Path) -> None:
    """The page says that the server is away, and shows no rate meanwhile; once it is back, what ended is shown."""
    user, network = connected
    user.unreachable = True
    card = copy_to_demo(user, large_files(tmp_path / "overnight", 3, 6 * MiB))
    summary = user.page.locator(".tray .summary")
    expect(card.locator(".work-words")).to_contain_text("MiB of 18 MiB")
    expect(card.locator(".work-words")).to_contain_text("/s")
    expect(summary).to_contain_text("/s")
    network.cut()
    line = user.page.locator("#offline")
    expect(line).to_contain_text("The server cannot be reached")
    expect(card.locator(".work-note")).to_contain_text("Not up to date")
    expect(card.locator(".work-words")).not_to_contain_text("/s")
    expect(card.locator(".work-words")).not_to_contain_text("left")
    expect(summary).to_contain_text("offline")
    expect(summary).not_to_contain_text("/s")
    expect(card.get_by_role("button", name="Pause")).to_be_visible()
    user.screenshot("offline")
    user.page.wait_for_timeout(8000)  # the job ends meanwhile
    network.mend()
    expect(line).to_be_hidden()
    expect(card.locator(".work-note")).to_be_hidden()
    expect(card.locator(".pill")).to_have_text("Done")
    user.go("unit:/Demo/overnight/")
    expect(user.row("2.bin")).to_be_visible()
    assert user.names() == ["0.bin", "1.bin", "2.bin"]
