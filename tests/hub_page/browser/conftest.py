"""A Chromium and a page for each module, and a visit for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from dxflow_async import Settings
from dxflow_async.hub_page.doors import MachineDoor
from tests.hub_page.browser.chromium import Visit, chromium, visit
from tests.hub_page.browser.page_server import on_a_thread
from tests.hub_page.page_client import own_page


class Machine(NamedTuple):
    """The page of this machine's user.

    Attributes:
        url: where it is.
        door: makes tickets.
        disk: a directory for files.
    """

    url: str
    door: MachineDoor
    disk: Path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def machine(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:  # noqa: ARG001 -- skips without one
    """The page of this machine's user."""
    top = tmp_path_factory.mktemp("machine")
    (top / "disk").mkdir()
    with on_a_thread(own_page(Settings(home=top / "home"))) as (url, door):
        yield Machine(url, door, top / "disk")


@pytest.fixture
def me(browser: Browser, machine: Machine) -> Iterator[Visit]:
    """This machine's user, at the overview."""
    with visit(browser, machine.url) as opened:
        opened.enter(machine.door.new_ticket())
        yield opened


@pytest.fixture
def disk(machine: Machine, request: pytest.FixtureRequest) -> Path:
    """A directory of one test."""
    directory: Path = machine.disk / request.node.name.replace("[", "-").rstrip("]")
    directory.mkdir()
    return directory
