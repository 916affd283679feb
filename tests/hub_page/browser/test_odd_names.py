"""Names on local disks that are not UTF-8, on the page."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.hub_page.browser.chromium import Visit

pytestmark = [pytest.mark.browser, pytest.mark.long]


def test_a_name_that_is_not_utf8_can_be_used(me: Visit, disk: Path, tmp_path: Path) -> None:
    """Such names open, preview, download, are deleted and renamed; an upload below one says why it is refused."""
    odd = os.fsencode(disk) + b"/r\xe9sum\xe9s 100%"
    os.mkdir(odd)
    Path(os.fsdecode(odd + b"/caf\xe9 \xff%.txt")).write_text("the menu")
    Path(os.fsdecode(odd + b"/usual.txt")).write_text("kept")
    (tmp_path / "new.txt").write_text("uploaded")
    me.refused = {400}
    me.go(f"local:{disk}/")
    me.row("r\\xe9sum\\xe9s 100%").dblclick()
    expect(me.page.locator(".crumbs [aria-current]")).to_have_text("r\\xe9sum\\xe9s 100%")
    file = me.row("caf\\xe9 \\xff%.txt")
    expect(file).to_be_visible()
    me.page.reload()
    file.click()
    me.page.keyboard.press("Enter")
    expect(me.page.locator("#details")).to_contain_text("the menu")
    me.screenshot("odd-names")
    with me.page.expect_download() as single:
        me.button("Download", ".toolbar").click()
    assert Path(single.value.path()).read_text() == "the menu"
    me.drop(tmp_path / "new.txt")
    card = me.page.locator(".work", has_text="Upload new.txt")
    card.get_by_text("1 item failed").click()
    expect(card.locator("details li small")).to_contain_text("not UTF-8")
    file.click()
    me.page.keyboard.press("Delete")
    me.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(file).to_have_count(0)
    assert os.listdir(odd) == [b"usual.txt"]
    me.page.keyboard.press("Backspace")
    expect(me.row("r\\xe9sum\\xe9s 100%")).to_have_attribute("aria-selected", "true")
    me.page.keyboard.press("F2")
    me.page.keyboard.type("résumés")
    me.page.keyboard.press("Enter")
    expect(me.row("résumés")).to_be_visible()
    assert os.listdir(disk) == ["résumés"]
    assert (disk / "résumés/usual.txt").read_text() == "kept"
