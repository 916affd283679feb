"""The lanes of the test suite: `server`, `long` and `fuzz`.

Tests marked `long` or `fuzz` run only when the expression after `-m` names their marker, so that `-m "not server"` does
not select them.

Tests that need an external server program are marked `server`, and no other test can start one.
An external server is a program of somebody else that a test starts: SeaweedFS, JuiceFS, Azurite, fake-gcs-server,
moto, OpenStack Swift, proxy.py, and the tus server of Node. Our own hub and units, in this process or in one of their
own, are not external.

Tests get the marker in two ways:

- `needs_external_server` looks at the code of a test and of every fixture it requests. A test is marked if this code
  names a class of `SERVERS`. Fixtures that are requested by a parameter (`params=["aws", "azure"]` with
  `request.getfixturevalue(request.param)`) are looked at, too.
- Where a helper function starts the server, the module says `pytestmark = pytest.mark.server`.

`Process` calls `check_marker` before it starts a program, so a test that neither way has marked fails with an error
that says what to do. `pytest -m "not server"` therefore starts no external server.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any

import pytest

__all__ = ["SERVERS", "UnmarkedTestError", "check_marker", "needs_external_server", "on_demand", "running_test"]

SERVERS = frozenset(
    {"SeaweedFS", "JuiceFSGateway", "Azurite", "GCSServer", "MotoServer", "ProxyServer", "SwiftServer"}
    | {"ForeignUnit", "npm_install", "openssh_program"}
)
"""The names that start an external server, as tests and fixtures call them."""

_running: list[pytest.Item] = []

_ON_DEMAND = frozenset({"long", "fuzz"})


class UnmarkedTestError(RuntimeError):
    """A test that is not marked `server` started an external server."""


def on_demand(item: pytest.Item, expression: str) -> bool:
    """Whether a test runs only if `-m` names its marker, and this expression does not."""
    named = re.findall(r"\w+", expression)
    return any(item.get_closest_marker(name) is not None for name in _ON_DEMAND.difference(named))


def running_test(item: pytest.Item | None) -> None:
    """Record the test that runs now; None when no test runs."""
    _running[:] = [] if item is None else [item]


def check_marker(command: Sequence[str]) -> None:
    """Refuse to start another program than this interpreter from a test without the marker `server`.

    Raises:
        UnmarkedTestError: the running test is not marked.
    """
    if command[0] == sys.executable or not _running:
        return
    (item,) = _running
    if item.get_closest_marker("server") is None:
        raise UnmarkedTestError(
            f"{item.nodeid} starts {command[0]} and is not marked `server`: "
            "add `pytestmark = pytest.mark.server` to its module, or `@pytest.mark.server` to the test"
        )


def needs_external_server(item: pytest.Item) -> bool:
    """Whether the code of a test, or of a fixture that it requests, names an external server."""
    if not isinstance(item, pytest.Function):
        return False
    if _names_server(item.function):
        return True
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    requested = {*item.fixturenames, *(form for value in parameters for form in _possible_fixtures(value))}
    return any(_names_server(fixture) for fixture in _fixture_functions(item, requested))


def _possible_fixtures(value: object) -> Iterator[str]:
    """The fixtures that a parameter may name: `"aws"`, or `"AWS"` in tests that spell providers in capitals."""
    if isinstance(value, str):
        yield value
        yield value.lower()


def _fixture_functions(item: pytest.Function, requested: set[str]) -> Iterator[Any]:
    """The functions of these fixtures and of all that they request."""
    manager = item.session._fixturemanager
    pending, seen = list(requested), set(requested)
    while pending:
        for definition in manager.getfixturedefs(pending.pop(), item) or ():
            yield definition.func
            new = set(definition.argnames) - seen
            seen |= new
            pending.extend(new)


def _names_server(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return isinstance(code, CodeType) and not SERVERS.isdisjoint(_names(code))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
