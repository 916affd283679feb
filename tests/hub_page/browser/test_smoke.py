"""The page in a real Chromium: signing in, and names that would break out of it. The other tests there take minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.hub_page.browser.chromium import Visit, visit
from tests.hub_page.browser.page_server import on_a_thread
from tests.hub_page.page_client import ME, running_hub

pytestmark = pytest.mark.browser

HOSTILE = [
    "<img src=x onerror=alert(1)>.txt",
    "\"quoted' & <b>bold.txt",
    "\u202etxt.exe",
    "two\nlines.txt",
    "مرحبا.txt",
    "a %2F# ?&+.txt",
]
SHOWN = {"\u202etxt.exe": "\\u202etxt.exe", "two\nlines.txt": "two\\nlines.txt"}


def test_an_account_signs_in_and_out(browser: Browser, tmp_path: Path) -> None:
    """A wrong password is refused with a sentence; signing out leads back to the form."""
    with on_a_thread(running_hub(tmp_path)) as url, visit(browser, url) as user:
        user.refused = {401}
        page = user.page
        page.goto(user.base)
        expect(page.get_by_label("E-mail")).to_be_focused()
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("e-mail")
        for password in (ME["password"], "wrong"):
            page.get_by_label("E-mail").fill(ME["email"])
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()
            if password == "wrong":
                expect(page.get_by_role("alert")).to_contain_text("password")
                continue
            expect(page.get_by_role("heading", name="Your places")).to_be_visible()
            expect(page.locator("#account")).to_contain_text(ME["email"])
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_label("E-mail")).to_be_visible()
            assert page.evaluate("document.cookie") == ""


def test_hostile_names_are_text(me: Visit, disk: Path) -> None:
    """Each name is shown as text, runs nothing, and can be opened; what cannot be seen is written as an escape."""
    for name in HOSTILE:
        (disk / name).write_text("contents")
        (disk / f"d{name}").mkdir()
        (disk / f"d{name}" / "inside").write_text("x")
    me.go(f"local:{disk}/")
    shown = [SHOWN.get(name, name) for name in HOSTILE]
    assert {*shown, *(f"d{name}" for name in shown)} == set(me.names())
    assert not me.page.locator("img, #content b").count()
    for name in (shown[0], shown[3], shown[5]):
        me.row(f"d{name}").dblclick()
        expect(me.row("inside")).to_be_visible()
        expect(me.page.locator(".crumbs [aria-current]")).to_have_text(f"d{name}")
        me.page.keyboard.press("Backspace")
        expect(me.row(f"d{name}")).to_have_attribute("aria-selected", "true")
