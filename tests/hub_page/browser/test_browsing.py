"""Looking around, in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.hub_page.browser.chromium import Visit, visit
from tests.hub_page.browser.page_server import behind_a_prefix, on_a_thread
from tests.hub_page.page_client import ME, running_hub

pytestmark = [pytest.mark.browser, pytest.mark.long]


def test_the_address_keeps_the_place(me: Visit, disk: Path) -> None:
    """Opening a directory changes the address; the back button, a reload and the path above the list lead there."""
    (disk / "one/two").mkdir(parents=True)
    (disk / "one/two/file.txt").write_text("x")
    me.go(f"local:{disk}/")
    me.row("one").dblclick()
    me.row("two").dblclick()
    expect(me.row("file.txt")).to_be_visible()
    me.page.reload()
    expect(me.row("file.txt")).to_be_visible()
    me.page.go_back()
    expect(me.row("two")).to_be_visible()
    me.page.locator(".crumbs").get_by_role("link", name=disk.name).click()
    expect(me.row("one")).to_be_visible()
    expect(me.page.locator(".crumbs [aria-current]")).to_have_text(disk.name)


def test_a_hundred_thousand_names(me: Visit, disk: Path) -> None:
    """A few dozen rows exist, whatever is loaded; the last name is reachable, and filtering finds one among all."""
    for number in range(100_000):
        (disk / f"{number:06}").touch()
    me.go(f"local:{disk}/")
    page = me.page
    expect(page.locator(".foot")).to_have_text("100,000 items", timeout=120_000)
    expect(page.locator(".grid")).to_have_attribute("aria-rowcount", "100001")
    most = 0
    for step in range(1, 12):
        page.locator(".grid").evaluate("(grid, part) => { grid.scrollTop = grid.scrollHeight * part; }", step / 11)
        page.wait_for_timeout(30)
        most = max(most, page.locator(".row").count())
    assert 10 < most < 80
    assert me.names()[-1] == "099999"
    page.locator(".grid").focus()
    page.keyboard.press("Home")
    expect(me.row("000000")).to_be_visible()
    page.keyboard.press("End")
    expect(me.row("099999")).to_have_attribute("aria-rowindex", "100001")
    page.keyboard.press("/")
    page.keyboard.type("04242")
    expect(page.locator(".finding")).to_contain_text("11 names of 100,000")
    expect(me.row("004242")).to_have_attribute("aria-rowindex", "2")


def test_the_page_works_below_a_path_behind_a_proxy(browser: Browser, tmp_path: Path) -> None:
    """Every address is relative: signing in, listing and reloading work below a prefix, and nothing asks outside it."""
    with (
        on_a_thread(running_hub(tmp_path)) as inner,
        on_a_thread(behind_a_prefix(inner)) as url,
        visit(browser, url) as user,
    ):
        user.refused = {401}
        asked: list[str] = []
        user.page.on("request", lambda request: asked.append(request.url))
        user.page.goto(user.base)
        user.page.get_by_label("E-mail").fill(ME["email"])
        user.page.get_by_label("Password").fill(ME["password"])
        user.page.get_by_role("button", name="Sign in").click()
        expect(user.page.get_by_role("heading", name="Your places")).to_be_visible()
        user.page.reload()
        expect(user.page.get_by_role("heading", name="Your places")).to_be_visible()
        assert asked
        assert all(each.startswith(user.base) for each in asked)
