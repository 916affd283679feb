"""Chromium, driven by Playwright, and pages that remember what went wrong in them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

__all__ = ["Visit", "chromium", "visit"]

ARTEFACTS = Path(__file__).parents[2] / ".artefacts" / "hub_page"

PATIENCE = 40_000
"""Milliseconds for anything to appear: machines that run tests are busy."""

# The page asks whether somebody is signed in, and Chromium reports each refused request as an error.
_EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")

# Chromium reports the requests of a page that has no connection, too.
_UNREACHABLE = re.compile(r"Failed to load resource: net::ERR_[A-Z_]+")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium without a window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed: install Debian's package chromium to run the tests of the hub's page")
    expect.set_options(timeout=PATIENCE)
    options = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page in a browser.

    Attributes:
        page: Playwright's page.
        base: the URL of the page, with a slash at its end.
        refused: the statuses of refused requests that the test expects.
        unreachable: whether the test takes the connection away.
    """

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.refused: set[int] = set()
        self.unreachable = False
        self.problems: list[str] = []
        self._refused: dict[int, str] = {}
        page.on("console", lambda message: self._heard(message.type, message.text, message.location.get("url", "")))
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation',"
            " event => console.error('violates the policy: ' + event.violatedDirective + ' ' + event.blockedURI));"
        )

    def enter(self, ticket: str) -> None:
        """Comes in with a ticket."""
        self.page.goto(f"{self.base}?ticket={ticket}")
        self.page.wait_for_selector(".home-card")

    def go(self, location: str) -> None:
        """Opens a directory, and waits for its names."""
        self.page.evaluate("hash => { window.location.hash = hash; }", quote(location, safe="/:"))
        self.page.wait_for_selector('.grid[aria-busy="false"]')

    def row(self, name: str) -> Locator:
        """The row of a name."""
        return self.page.locator(".row", has=self.page.locator(f"bdi.name:text-is({_quoted(name)})"))

    def names(self) -> list[str]:
        """The names of the rows that exist, from top to bottom."""
        rows = self.page.locator(".row").evaluate_all(
            "rows => rows.map(row => [Number(row.dataset.index), row.querySelector('.name').textContent])"
        )
        return [name for _, name in sorted(rows)]

    def button(self, name: str, within: str = "body") -> Locator:
        """The first visible button of a name."""
        found = self.page.locator(within).get_by_role("button", name=name, exact=True)
        return found.filter(visible=True).first

    def drop(self, *paths: Path, at: Locator | None = None) -> None:
        """Drops files and folders, as a file manager does."""
        place = (at or self.page.locator("#content")).bounding_box()
        assert place is not None
        session = self.page.context.new_cdp_session(self.page)
        point = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, **point, "data": data})
        session.detach()

    def screenshot(self, name: str) -> None:
        """Keeps a picture of the page among the artefacts."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png")

    def check(self) -> None:
        """Checks that nothing was reported to the console but the refusals that the test expects."""
        assert not self.problems
        assert self._refused.keys() <= self.refused, self._refused

    def _heard(self, kind: str, text: str, url: str) -> None:
        if kind not in ("error", "warning"):
            return
        refused = _EXPECTED.match(text)
        if refused is not None:
            self._refused[int(refused[1])] = url
        elif not (self.unreachable and _UNREACHABLE.match(text)):
            self.problems.append(text)


@contextmanager
def visit(browser: Browser, base: str, **options: Any) -> Iterator[Visit]:
    """Opens a page of its own cookies; at the end nothing may have been reported to its console.

    Args:
        browser: where.
        base: the URL of the page.
        options: of Playwright's `new_context`.
    """
    given = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", "locale": "en-GB", **options}
    context = browser.new_context(**given)
    context.set_default_timeout(PATIENCE)
    try:
        opened = Visit(context.new_page(), base)
        yield opened
        opened.check()
    finally:
        context.close()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
