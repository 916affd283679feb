"""A Chromium and a page for each module, and a visit for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from dxflow_async import Settings
from tests.hub_page.browser.chromium import Visit, chromium, visit
from tests.hub_page.browser.machine import Machine
from tests.hub_page.browser.page_server import on_a_thread
from tests.hub_page.page_client import own_page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The page of this machine's user."""
    top = tmp_path_factory.mktemp("machine")
    (top / "me/disk").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(top / "me"))
        with on_a_thread(own_page(Settings(home=top / "home", sdk_configuration=False))) as (url, door):
            yield Machine(url, door, top / "me/disk")


@pytest.fixture
def me(browser: Browser, machine: Machine) -> Iterator[Visit]:
    """This machine's user, at the overview."""
    with visit(browser, machine.url) as opened:
        opened.enter(machine.door.new_ticket())
        yield opened


@pytest.fixture
def disk(machine: Machine, request: pytest.FixtureRequest) -> Path:
    """A directory of one test."""
    directory: Path = machine.disk / str(request.node.name)
    directory.mkdir()
    return directory
