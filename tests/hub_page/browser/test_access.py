"""The page without a mouse, for screen readers, in light and dark, on a wide screen and on a phone."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.hub_page.browser.chromium import Visit, visit
from tests.hub_page.browser.machine import Machine
from tests.hub_page.browser.page_server import on_a_thread
from tests.hub_page.page_client import running_hub
from tests.servers.azurite import npm_install

pytestmark = [pytest.mark.browser, pytest.mark.long]

_AXE = ("axe-core", "4.14.1")

_SIZES = {"wide": (1280, 800), "phone": (400, 820)}


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core."""
    return (npm_install(*_AXE) / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def survey(machine: Machine) -> Path:
    """A directory as people have them."""
    top = machine.disk / "survey"
    for name in ("figures", "raw", "2026-11 north bay"):
        (top / name).mkdir(parents=True)
        (top / name / "a.txt").write_text("a" * 2000)
    rows = "".join(f"2026-11-{day:02},S{day % 4},{day * 3.14:.3f},mbar\n" for day in range(1, 29))
    (top / "measurements.csv").write_text("time,sensor,value,unit\n" + rows)
    (top / "README.md").write_text("# Survey of the north bay\n\nMeasured between May and November.\n\n- 48 sensors\n")
    (top / "cover.png").write_bytes(_png(240, 160))
    (top / "run.log").write_text("12:00:01 started\n12:00:02 listening\n" * 40)
    for name, size in {
        "weights-2.safetensors": 48 << 20,
        "weights-10.safetensors": 52 << 20,
        "talk.mp4": 7 << 20,
    }.items():
        with (top / name).open("wb") as file:
            file.truncate(size)
    for name in ("<img src=x onerror=alert(1)>.txt", "مرحبا.txt"):
        (top / name).write_text("text")
    now = time.time()
    for age, path in enumerate(sorted(top.iterdir())):
        os.utime(path, (now - age * 90_000, now - age * 90_000))
    return top


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(_SIZES))
def test_axe_finds_nothing_serious(
    browser: Browser,
    machine: Machine,
    survey: Path,
    axe: str,
    size: str,
    scheme: Literal["light", "dark"],
    tmp_path: Path,
) -> None:
    """Every screen and dialog passes axe-core in light and dark, wide and on a phone; each is kept as a picture."""
    width, height = _SIZES[size]
    options: dict[str, Any] = {
        "viewport": {"width": width, "height": height},
        "color_scheme": scheme,
        "has_touch": size == "phone",
    }
    seen: list[str] = []

    def look(user: Visit, name: str) -> None:
        user.page.wait_for_timeout(150)
        user.screenshot(f"{size}-{scheme}-{len(seen)}-{name}")
        seen.append(name)
        user.page.evaluate(axe)
        found = user.page.evaluate("async () => (await axe.run(document, { resultTypes: ['violations'] })).violations")
        serious = [
            (each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")
        ]
        assert not serious, (name, serious)

    with on_a_thread(running_hub(tmp_path)) as url, visit(browser, url, **options) as user:
        user.refused = {401}
        user.page.goto(user.base)
        expect(user.page.get_by_label("E-mail")).to_be_visible()
        look(user, "sign-in")
    with visit(browser, machine.url, **options) as user:
        user.enter(machine.door.new_ticket())
        look(user, "places")
        user.go(f"local:{survey}/")
        look(user, "list")
        _previews(user, look, phone=size == "phone")
        _dialogs(user, look)
        if size == "phone":
            user.button("Places").click()
            look(user, "places-drawer")
            user.page.keyboard.press("Escape")
        user.page.get_by_role("searchbox").fill("nothing has this name")
        look(user, "nothing-found")
        user.refused = {404}
        user.page.evaluate("hash => { window.location.hash = hash; }", f"local:{survey}/missing")
        expect(user.page.get_by_role("button", name="Try again")).to_be_visible()
        look(user, "error")


def _previews(user: Visit, look: Callable[[Visit, str], None], *, phone: bool) -> None:
    for name in ("measurements.csv", "cover.png", "README.md"):
        row = user.row(name)
        if phone:
            row.tap()
        else:
            row.click()
        expect(user.page.locator(".preview table, .preview img, .preview pre")).to_be_visible()
        look(user, f"preview-{name}")
        if phone:
            user.button("Close details").click()
    user.page.keyboard.press("Escape")


def _dialogs(user: Visit, look: Callable[[Visit, str], None]) -> None:
    page = user.page
    for name in ("figures", "run.log"):
        user.row(name).locator(".tick").click()
    look(user, "selected")
    for word in ("Copy to", "Delete"):
        user.button(word, ".toolbar").click()
        expect(page.locator(".counts b")).to_be_visible()
        look(user, word)
        page.keyboard.press("Escape")
    user.row("talk.mp4").locator(".more button").click()
    look(user, "menu")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    look(user, "help")
    page.keyboard.press("Escape")
    page.get_by_role("grid").focus()
    page.keyboard.press("Escape")


def test_the_tree_and_the_list_follow_keys(me: Visit, disk: Path) -> None:
    """Without a mouse: walk the tree, open a directory, select by arrows, filter, and come back to where one was."""
    (disk / "first/second").mkdir(parents=True)
    for name in ("alpha.txt", "beta.txt", "gamma.txt"):
        (disk / "first" / name).write_text(name)
    keys, page = me.page.keyboard, me.page
    page.locator("#tree [tabindex='0']").focus()
    keys.press("ArrowDown")
    computer = page.get_by_role("treeitem", name="This computer")
    expect(computer).to_be_focused()
    keys.press("ArrowRight")
    expect(computer).to_have_attribute("aria-expanded", "true")
    keys.press("ArrowLeft")
    expect(computer).to_have_attribute("aria-expanded", "false")
    me.go(f"local:{disk}/")
    expect(page.get_by_role("grid")).to_be_focused()
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(me.row("alpha.txt")).to_be_visible()
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    expect(me.row("alpha.txt")).to_have_attribute("aria-selected", "true")
    keys.press("Shift+ArrowDown")
    expect(page.locator(".chosen")).to_have_text("2 selected")
    keys.press("Control+a")
    expect(page.locator(".chosen")).to_have_text("4 selected")
    keys.press("Escape")
    expect(page.locator(".chosen")).to_have_count(0)
    keys.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    keys.type("gam")
    expect(me.row("alpha.txt")).to_have_count(0)
    keys.press("Escape")
    expect(me.row("alpha.txt")).to_be_visible()
    keys.press("Escape")
    keys.press("Alt+ArrowUp")
    expect(me.row("first")).to_have_attribute("aria-selected", "true")
    keys.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
    keys.press("Escape")
    expect(page.get_by_role("grid")).to_be_focused()


def test_names_change_by_keys(me: Visit, disk: Path) -> None:
    """Without a mouse: rename, make a folder, search below, copy to another folder, and delete."""
    for name in ("alpha.txt", "beta.txt", "to/x.txt"):
        (disk / name).parent.mkdir(exist_ok=True)
        (disk / name).write_text(name)
    keys, page = me.page.keyboard, me.page
    me.go(f"local:{disk}/")
    keys.type("alpha")
    expect(me.row("alpha.txt")).to_have_attribute("aria-selected", "true")
    keys.press("F2")
    expect(page.get_by_role("dialog")).to_be_visible()
    keys.type("delta")
    keys.press("Enter")
    expect(me.row("delta.txt")).to_have_attribute("aria-selected", "true")
    keys.press("Control+c")
    keys.type("to")
    keys.press("Enter")
    expect(me.row("x.txt")).to_be_visible()
    keys.press("Control+v")
    here = page.get_by_role("button", name="Copy here")
    expect(here).to_be_enabled()
    here.focus()
    keys.press("Enter")
    expect(me.row("delta.txt")).to_be_visible()
    page.get_by_role("grid").focus()
    keys.press("Backspace")
    expect(me.row("to")).to_have_attribute("aria-selected", "true")
    keys.press("/")
    keys.type("x.t")
    keys.press("Enter")
    expect(page.locator(".finding")).to_contain_text("1 match")
    expect(me.row("x.txt")).to_contain_text("to")
    page.get_by_role("grid").focus()
    keys.press("Escape")
    expect(me.row("beta.txt")).to_be_visible()
    keys.type("beta")
    me.refused.add(404)  # the preview of what is deleted meanwhile
    keys.press("Delete")
    expect(page.get_by_role("dialog").get_by_text("1 file")).to_be_visible()
    keys.press("Tab")
    keys.press("Enter")
    expect(me.row("beta.txt")).to_have_count(0)
    assert sorted(path.name for path in disk.rglob("*")) == ["delta.txt", "delta.txt", "to", "x.txt"]


def _png(width: int, height: int) -> bytes:
    rows = b"".join(
        b"\0" + b"".join(bytes([x, 90 + y // 2, 220 - x // 2]) for x in range(width)) for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
